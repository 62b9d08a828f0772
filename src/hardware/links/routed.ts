/** What routed tokens send between ranks and nodes: rows, and tokens with one copy per rank or per node. */
import { ConfigError } from '../../core/errors.ts';
import { at, maxOf, sum } from '../../core/math.ts';
import type { Link } from './rate.ts';

/** Who owns which expert: rank r of the group owns experts r * experts / ranks and so on; node n ranks n * perNode .. */
export interface Placement {
  readonly experts: number;
  readonly ranks: number;
  readonly ranksPerNode: number;
}

/** Counts of one dispatch. */
export interface Traffic {
  /** rows[s][d]: choices of rank s's tokens that rank d's experts have, its own included. */
  readonly rows: readonly (readonly number[])[];
  /** copies[s][d]: distinct tokens of rank s that rank d needs. */
  readonly copies: readonly (readonly number[])[];
  /** perNode[s][n]: distinct tokens of rank s that some rank of node n needs. */
  readonly perNode: readonly (readonly number[])[];
}

/**
 * Counts of a dispatch. @param choices of each rank: of each of its tokens the experts that it chose.
 * @throws ConfigError for experts or ranks that do not divide, or a choice that is no expert.
 */
export function trafficOf(
  choices: readonly (readonly (readonly number[])[])[],
  placement: Placement,
): Traffic {
  const { experts, ranks, ranksPerNode } = placement;
  if (experts % ranks !== 0) throw new ConfigError(`${ranks} ranks do not divide ${experts} experts.`);
  if (ranks % ranksPerNode !== 0)
    throw new ConfigError(`nodes of ${ranksPerNode} do not divide ${ranks} ranks.`);
  const nodes = ranks / ranksPerNode;
  const zeros = (count: number): number[][] => choices.map(() => new Array<number>(count).fill(0));
  const [rows, copies, perNode] = [zeros(ranks), zeros(ranks), zeros(nodes)];
  choices.forEach((tokens, source) => {
    for (const chosen of tokens) {
      const owners = chosen.map((expert) => {
        if (!(Number.isInteger(expert) && expert >= 0 && expert < experts))
          throw new ConfigError(`a token chose expert ${expert}; there are 0 to ${experts - 1}.`);
        return Math.floor((expert * ranks) / experts);
      });
      const count = (table: number[][], to: number): void => {
        const row = at(table, source);
        row[to] = at(row, to) + 1;
      };
      for (const owner of owners) count(rows, owner);
      for (const owner of new Set(owners)) count(copies, owner);
      for (const node of new Set(owners.map((owner) => Math.floor(owner / ranksPerNode))))
        count(perNode, node);
    }
  });
  return { rows, copies, perNode };
}

/** Largest of what a rank sends to others and what one receives, in rows of the table. */
export function bottleneck(table: readonly (readonly number[])[]): number {
  const sent = table.map((row, s) => sum(row) - (row[s] ?? 0));
  const received = table.map((_, d) => sum(table.map((row, s) => (s === d ? 0 : (row[d] ?? 0)))));
  return Math.max(maxOf(sent, 0), maxOf(received, 0));
}

/**
 * An all-to-all(v), one partner a step: step i lasts as long as the largest message of rank s to rank s + i.
 * @param table bytes from each rank to each.
 */
export function pairwiseUs(
  table: readonly (readonly number[])[],
  linkOf: (from: number, to: number) => Link,
): number {
  const ranks = table.length;
  let us = 0;
  for (let step = 1; step < ranks; step++) {
    us += maxOf(
      table.map((row, source) => {
        const to = (source + step) % ranks;
        return linkOf(source, to).us(row[to] ?? 0);
      }),
    );
  }
  return us;
}

/** Rows that leave, as shares of all: their rank, their node, and their node with one copy per token and node. */
export interface Leaving {
  readonly rank: number;
  readonly node: number;
  readonly nodeCopies: number;
}

/** How much of a dispatch leaves its rank and its node; copies are relative to rows, so the last share is what dedup leaves. */
export function leaving(traffic: Traffic, { ranksPerNode }: Placement): Leaving {
  const total = sum(traffic.rows.map((row) => sum(row)));
  const out = (
    table: readonly (readonly number[])[],
    stays: (source: number, to: number) => boolean,
  ): number => sum(table.map((row, source) => sum(row.filter((_, to) => !stays(source, to))))) / total;
  const nodeOf = (rank: number): number => Math.floor(rank / ranksPerNode);
  return {
    rank: out(traffic.rows, (source, to) => source === to),
    node: out(traffic.rows, (source, to) => nodeOf(source) === nodeOf(to)),
    nodeCopies: out(traffic.perNode, (source, node) => nodeOf(source) === node),
  };
}
