/** Maximum flow in a graph with capacities that are any numbers, by blocking flows (Dinic 1970). */
import { at } from '../../core/math.ts';

export class FlowGraph {
  readonly #out: number[][];
  /** Edge 2i and its reverse 2i + 1. */
  readonly #to: number[] = [];
  readonly #room: number[] = [];
  readonly #full: number[] = [];

  constructor(numNodes: number) {
    this.#out = Array.from({ length: numNodes }, () => []);
  }

  edge(from: number, to: number, capacity: number): void {
    at(this.#out, from).push(this.#to.length);
    this.#to.push(to);
    at(this.#out, to).push(this.#to.length);
    this.#to.push(from);
    this.#room.push(capacity, 0);
    this.#full.push(capacity, 0);
  }

  /** @param least flows below it count as none. */
  maximum(source: number, sink: number, least: number): number {
    let total = 0;
    for (;;) {
      const level = this.#levels(source, least);
      if (at(level, sink) === -1) return total;
      const next = this.#out.map(() => 0);
      for (;;) {
        const pushed = this.#push(source, sink, Infinity, level, next, least);
        if (pushed <= least) break;
        total += pushed;
      }
    }
  }

  reachable(source: number, least: number): boolean[] {
    return this.#levels(source, least).map((level) => level !== -1);
  }

  flowBetween(from: number, to: number): number {
    let flow = 0;
    for (const e of at(this.#out, from)) {
      if (e % 2 === 0 && at(this.#to, e) === to) flow += at(this.#room, e + 1);
    }
    return flow;
  }

  #levels(source: number, least: number): number[] {
    const level = this.#out.map(() => -1);
    level[source] = 0;
    const queue = [source];
    for (let i = 0; i < queue.length; i++) {
      const node = at(queue, i);
      for (const e of at(this.#out, node)) {
        const to = at(this.#to, e);
        if (at(level, to) !== -1 || at(this.#room, e) <= least) continue;
        level[to] = at(level, node) + 1;
        queue.push(to);
      }
    }
    return level;
  }

  /** Paths have as many nodes as there are levels: for experts and GPUs few, so it may recur. */
  #push(node: number, sink: number, most: number, level: number[], next: number[], least: number): number {
    if (node === sink) return most;
    const out = at(this.#out, node);
    for (; at(next, node) < out.length; next[node] = at(next, node) + 1) {
      const e = at(out, at(next, node));
      const to = at(this.#to, e);
      if (at(level, to) !== at(level, node) + 1 || at(this.#room, e) <= least) continue;
      const pushed = this.#push(to, sink, Math.min(most, at(this.#room, e)), level, next, least);
      if (pushed <= least) continue;
      this.#room[e] = at(this.#room, e) - pushed;
      this.#room[e ^ 1] = at(this.#room, e ^ 1) + pushed;
      return pushed;
    }
    return 0;
  }
}
