/**
 * MODELLED: the share of a GPU's f32 peak that the hot loop of a kernel could reach, by the busiest of vector issue, workgroup
 * storage and first-level cache. All waits are hidden by other waves; no miss, no launch, no tail: an upper bound.
 */
import type { Spec } from '../../src/gpu/shader/specialise.ts';
import { loopsOf, nested, type Loop, type Mix } from './isa-text.ts';
import type { Machine } from './targets.ts';

export interface Share {
  /** Of the peak, by the busiest part, with multiply-adds issued in pairs as often as a wave allows. */
  readonly share: number;
  readonly limit: 'vector' | 'storage' | 'cache';
  /** AMD: the same for one wave per SIMD that waits LATENCY cycles whenever it waits for all its loads; none in pairs. */
  readonly alone?: number;
}

/** Cycles from a load to its value. An assumption. */
const LATENCY = 400;

/** Multiply-adds of a lane in a turn of the outermost loop, of kernels whose spec says it; else the hot loop counts alone. */
function fmasOfTurn(shader: string, spec: Spec): number | undefined {
  const { REG_M, REG_N = 8, TILE_K } = spec;
  if (!/^(gemm|experts)\/blocked/.test(shader)) return undefined;
  return Number(REG_M) * Number(REG_N) * Number(TILE_K);
}

interface Cost {
  readonly fmas: number;
  readonly vector: number;
  /** Without pairs. */
  readonly single: number;
  readonly storage: number;
  readonly cache: number;
  readonly waits: number;
}

function costOf({ simds, lanes, storageBytes, cacheBytes, dual }: Machine, wave: number, mix: Mix): Cost {
  const pass = Math.max(1, wave / lanes);
  const rest = (mix.pairs + mix.vector + 4 * mix.slow) * pass;
  const paired = dual === true && wave === 64 ? 1 : pass;
  return {
    ...{ fmas: mix.fmas, vector: mix.fmaIssues * paired + rest, single: mix.fmaIssues * pass + rest },
    storage: (mix.storageBytes * wave * simds) / storageBytes,
    cache: (mix.cacheBytes * wave * simds) / cacheBytes,
    waits: mix.waits,
  };
}

const sum = (parts: readonly (readonly [Cost, number])[], of: (cost: Cost) => number): number =>
  parts.reduce((all, [cost, turns]) => all + of(cost) * turns, 0);

/** @returns undefined for a kernel without a loop of multiply-adds. */
export function shareOf(
  kernel: { readonly shader: string; readonly spec: Spec },
  text: string,
  wave: number,
  machine: Machine,
): Share | undefined {
  const loops = loopsOf(text, wave);
  const all = loops.flatMap(nested);
  const weight = ({ mix, depth }: Loop): number => mix.fmas * 8 ** depth;
  const [hot] = [...all].sort((a, b) => weight(b) - weight(a));
  if (hot === undefined || hot.mix.fmas === 0) return undefined;
  const expected = fmasOfTurn(kernel.shader, kernel.spec);
  const outer = loops.find((loop) => nested(loop).includes(hot)) ?? hot;
  const ofLoop = (loop: Loop, turns: number): readonly [Cost, number] => [
    costOf(machine, wave, loop.mix),
    turns,
  ];
  // The hot loop's turns are what the spec's multiply-adds come to: a compiler may have unrolled some of them.
  const parts =
    expected === undefined
      ? [ofLoop(hot, 1)]
      : outer === hot
        ? [ofLoop(outer, 1)]
        : [ofLoop(outer, 1), ofLoop(hot, (expected - outer.mix.fmas) / hot.mix.fmas)];
  const fmas = sum(parts, (cost) => cost.fmas) * wave;
  const pipes = {
    vector: sum(parts, (cost) => cost.vector),
    storage: sum(parts, (cost) => cost.storage),
    cache: sum(parts, (cost) => cost.cache),
  };
  const order = (['vector', 'storage', 'cache'] as const).toSorted((a, b) => pipes[b] - pipes[a]);
  const [limit = 'vector'] = order;
  const single = sum(parts, (cost) => cost.single + LATENCY * cost.waits);
  return {
    ...{ share: fmas / (pipes[limit] * machine.peak), limit },
    // NVIDIA's text says when to wait by numbers of barriers, not for what.
    ...(!text.startsWith('block') && { alone: fmas / (single * machine.peak) }),
  };
}
