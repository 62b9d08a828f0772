/** Which layouts nothing beats, where one stands, and which share of the GPU time explains it. */
import { sum } from '../../core/math.ts';
import { SHARES, type Share } from '../simulate/simulate.ts';
import type { Delivery } from './evaluate.ts';

/** Limits of means, ms. */
export interface Targets {
  readonly ttftMs?: number;
  readonly tpotMs?: number;
}

export function meets({ ttftMs, tpotMs }: Delivery, targets: Targets): boolean {
  return ttftMs <= (targets.ttftMs ?? Infinity) && tpotMs <= (targets.tpotMs ?? Infinity);
}

/** The more the better, each. */
const goods = ({ ttftMs, outputTokensPerS, memoryBytes, gpus }: Delivery): readonly number[] => [
  -ttftMs,
  outputTokensPerS,
  -memoryBytes,
  -gpus,
];

/** a is nowhere worse than b, and somewhere better. */
function dominates(a: readonly number[], b: readonly number[]): boolean {
  let better = false;
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] ?? NaN, b[i] ?? NaN];
    if (!(x >= y)) return false;
    if (x > y) better = true;
  }
  return better;
}

/** Those that no other beats in TTFT, throughput, memory and GPUs at once; equal ones stay together. */
export function paretoFront<T extends Delivery>(found: readonly T[]): T[] {
  const all = found.map((one) => goods(one));
  return found.filter((_one, i) => !all.some((other) => dominates(other, all[i] ?? [])));
}

/** No later first token and no less throughput, one of them better. */
export function beats(a: Delivery, b: Delivery): boolean {
  return dominates([-a.ttftMs, a.outputTokensPerS], [-b.ttftMs, b.outputTokensPerS]);
}

/** us of GPU time that an output token takes, part by part. */
export function gpuUsPerToken({ gpus, outputTokensPerS, shares }: Delivery): Record<Share, number> {
  const whole = (gpus * 1e6) / outputTokensPerS;
  return Object.fromEntries(SHARES.map((share) => [share, shares[share] * whole])) as Record<Share, number>;
}

/** How the GPU time of a token differs between two layouts. */
export interface Difference {
  readonly share: Share;
  /** us of GPU time a token. */
  readonly from: number;
  readonly to: number;
}

/** All parts, the one that shrank the most first. */
export function differences(from: Delivery, to: Delivery): Difference[] {
  const [a, b] = [gpuUsPerToken(from), gpuUsPerToken(to)];
  return SHARES.map((share) => ({ share, from: a[share], to: b[share] })).sort(
    (x, y) => x.to - x.from - (y.to - y.from),
  );
}

/** us of GPU time a token, all parts. */
export const totalOf = (parts: Readonly<Record<Share, number>>): number => sum(Object.values(parts));
