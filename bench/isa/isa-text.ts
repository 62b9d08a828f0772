/** A compiler's text as loops of counted instructions: LLVM's disassembly for AMD, NAK's own for NVIDIA. */

import { minOf } from '../../src/core/math.ts';

/** What a loop issues, without its inner loops. */
export interface Mix {
  /** f32 multiply-adds per lane, and how many instructions issue them. */
  fmas: number;
  fmaIssues: number;
  /** AMD: pairs that issue together. */
  pairs: number;
  /** Other vector instructions, and those that take four times as long. */
  vector: number;
  slow: number;
  /** Bytes per lane through workgroup storage, and through the cache. */
  storageBytes: number;
  cacheBytes: number;
  /** Waits until no load is left. */
  waits: number;
  scratch: number;
  /** Of matrix units. */
  matrices: number;
}

export interface Loop {
  readonly depth: number;
  readonly mix: Mix;
  readonly inner: readonly Loop[];
}

interface Block {
  readonly code: string[];
  /** Places of the blocks that it may be reached from. */
  readonly before: number[];
}

function blocksOfNak(text: string): Block[] {
  const blocks: Block[] = [];
  for (const line of text.split('\n')) {
    const head = /^block(?:\.u)?\s+\d+\s+L\d+\s+\[([\d, ]*)\]/.exec(line);
    if (head) {
      const before = (head[1] ?? '').split(',').flatMap((n) => (n.trim() === '' ? [] : [Number(n)]));
      blocks.push({ before, code: [] });
      continue;
    }
    const body = line
      .replace(/\/\/.*/, '')
      .replace(/^\s*@!?\w+/, '')
      .trim();
    if (body === '' || body === '}') continue;
    blocks.at(-1)?.code.push(body.slice(body.indexOf(' = ') < 0 ? 0 : body.indexOf(' = ') + 3).trim());
  }
  return blocks;
}

function blocksOfAmd(text: string): Block[] {
  const blocks: (Block & { readonly to: string[] })[] = [];
  const place = new Map<string, number>();
  for (const line of text.split('\n')) {
    const label = /^(BB\d+):/.exec(line)?.[1];
    if (label !== undefined) {
      place.set(label, blocks.length);
      blocks.push({ code: [], to: [], before: [] });
    }
    const block = blocks.at(-1);
    if (!block) continue;
    const repeated = /^\s*\(then repeated (\d+) times\)/.exec(line);
    const last = block.code.at(-1);
    if (repeated && last !== undefined) {
      for (let i = 1; i < Number(repeated[1]); i++) block.code.push(last);
      continue;
    }
    const instruction = /^\s+([a-z]\w+.*?)\s*(?:;.*)?$/.exec(line)?.[1];
    if (instruction === undefined) continue;
    block.code.push(instruction);
    const target = /\b(BB\d+)\b/.exec(instruction)?.[1];
    if (target !== undefined) block.to.push(target);
  }
  blocks.forEach(({ code, to }, i) => {
    for (const name of to) blocks[place.get(name) ?? -1]?.before.push(i);
    if (!/^s_(branch|endpgm|setpc)/.test(code.at(-1) ?? '')) blocks[i + 1]?.before.push(i);
  });
  return blocks;
}

const nothing = (): Mix => ({
  ...{ fmas: 0, fmaIssues: 0, pairs: 0, vector: 0, slow: 0 },
  ...{ storageBytes: 0, cacheBytes: 0, waits: 0, scratch: 0, matrices: 0 },
});

function bytesOfAmd(name: string): number {
  const twice = name.includes('2addr') || /read2|write2/.test(name) ? 2 : 1;
  if (/x4|b128/.test(name)) return 16 * twice;
  if (/x3|b96/.test(name)) return 12 * twice;
  if (/x2|b64/.test(name)) return 8 * twice;
  if (/_(u8|i8|ubyte|sbyte|b8)/.test(name)) return 1;
  return /_(u16|i16|ushort|sshort|b16|short|d16)/.test(name) ? 2 : 4 * twice;
}

function countAmd(mix: Mix, instruction: string, wave: number): void {
  const name = instruction.split(/\s/)[0] ?? '';
  if (name.startsWith('v_dual_')) {
    mix.pairs++;
    mix.fmas += instruction.split('::').filter((half) => /v_dual_fma/.test(half)).length;
  } else if (/^v_wmma/.test(name)) {
    // 16 x 16 x 16 of a wave.
    mix.matrices++;
    mix.fmas += 4096 / wave;
    mix.vector += 16;
  } else if (/^v_pk_fma_f16/.test(name)) {
    mix.fmas += 2;
    mix.vector++;
  } else if (/^v_(fma|fmac|fmamk|fmaak|mac|mad|madmk|madak)_f32/.test(name)) {
    mix.fmas++;
    mix.fmaIssues++;
  } else if (/^v_(exp|log|rcp|rsq|sqrt|sin|cos|mul_lo_u32|mul_hi_u32|mul_hi_i32|mad_u64)/.test(name))
    mix.slow++;
  else if (name.startsWith('v_')) mix.vector++;
  else if (/^ds_(load|read|store|write)/.test(name)) mix.storageBytes += bytesOfAmd(name);
  else if (name.startsWith('ds_')) mix.storageBytes += 4;
  else if (name.startsWith('scratch_')) mix.scratch++;
  else if (/^(buffer|global|flat)_/.test(name)) mix.cacheBytes += bytesOfAmd(name);
  else if (/^s_wait/.test(name) && /vmcnt\(0\)|loadcnt 0x0|loadcnt\(0\)/.test(instruction)) mix.waits++;
}

function countNak(mix: Mix, instruction: string): void {
  const name = instruction.split(/\s/)[0] ?? '';
  const bytes = Number(/\.b(\d+)/.exec(name)?.[1] ?? 32) / 8;
  if (/^ffma/.test(name)) {
    mix.fmas++;
    mix.fmaIssues++;
  } else if (/^hfma2/.test(name)) {
    mix.fmas += 2;
    mix.vector++;
  } else if (/^mufu/.test(name)) mix.slow++;
  else if (/^(ld|st)\.shared/.test(name)) mix.storageBytes += bytes;
  else if (/^(ld|st)\.local/.test(name)) mix.scratch++;
  else if (/^(ld|st)\.global/.test(name)) mix.cacheBytes += bytes;
  else if (/^(shfl|vote|redux)/.test(name)) mix.storageBytes += 4;
  else if (!/^(bar|bra|exit|bssy|bsync|bmov|warpsync|ldc|r2ur|s2ur|u[a-z]|nop|membar)/.test(name))
    mix.vector++;
}

/** Of a jump backwards: the blocks from which it is reached without passing its target; none if that is not its only way in. */
function bodyOf(blocks: readonly Block[], head: number, tail: number): Set<number> | undefined {
  const body = new Set([head, tail]);
  const left = [tail];
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    if (at === head) continue;
    if (at === 0) return undefined;
    for (const before of blocks[at]?.before ?? []) {
      if (body.has(before)) continue;
      body.add(before);
      left.push(before);
    }
  }
  return body;
}

/** The outermost loops of a kernel's text. */
export function loopsOf(text: string, wave: number): Loop[] {
  const nak = /^block/.test(text);
  const blocks = nak ? blocksOfNak(text) : blocksOfAmd(text);
  const bodies = new Map<number, Set<number>>();
  blocks.forEach(({ before }, head) => {
    for (const tail of before.filter((from) => from >= head)) {
      const body = bodyOf(blocks, head, tail);
      // Loops with one head are one loop.
      for (const at of body ?? []) bodies.set(head, (bodies.get(head) ?? new Set()).add(at));
    }
  });
  const mixOf = (places: Iterable<number>): Mix => {
    const mix = nothing();
    for (const at of places) {
      for (const code of blocks[at]?.code ?? []) {
        if (nak) countNak(mix, code);
        else countAmd(mix, code, wave);
      }
    }
    return mix;
  };
  const all = [...bodies].sort(([, a], [, b]) => b.size - a.size);
  const within = (candidates: typeof all, depth: number): Loop[] => {
    const outer = candidates.filter(
      ([head, body]) =>
        !candidates.some(([other, larger]) => other !== head && larger.size > body.size && larger.has(head)),
    );
    return outer.map(([head, body]) => {
      const inner = candidates.filter(
        ([other, part]) => other !== head && part.size < body.size && body.has(other),
      );
      const own = [...body].filter((at) => !inner.some(([, part]) => part.has(at)));
      return { depth, mix: mixOf(own), inner: within(inner, depth + 1) };
    });
  };
  return within(all, 1);
}

/** A loop and all in it. */
export function nested(loop: Loop): Loop[] {
  return [loop, ...loop.inner.flatMap(nested)];
}

/**
 * Matrix instructions of one turn of a loop that issues some itself, with those of its inner loops once: of several such loops
 * the least. Undefined where no loop does.
 */
export function matricesOf(text: string, wave: number): number | undefined {
  const issuing = (loop: Loop): Loop[] => (loop.mix.matrices > 0 ? [loop] : loop.inner.flatMap(issuing));
  const turns = loopsOf(text, wave)
    .flatMap(issuing)
    .map((loop) => nested(loop).reduce((sum, { mix }) => sum + mix.matrices, 0));
  return turns.length > 0 ? minOf(turns) : undefined;
}

/** Matrix instructions in the text of any of the compilers. */
export function matricesIn(text: string): number {
  return text.match(/^\s+v_wmma|\b(?:dpas|hmma|imma)\b/gm)?.length ?? 0;
}
