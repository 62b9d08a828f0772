/** Why nobody misses one that survives. */
import type { Site } from './sites.ts';

interface Exception {
  /** Of the path. */
  readonly path: RegExp;
  /** Of the line that it is in. */
  readonly context: RegExp;
  readonly why: string;
}

const EXCEPTIONS: readonly Exception[] = [
  {
    path: /./,
    context: /workgroupUniformLoad\(/,
    why: 'a barrier after a branch that lanes need not take alike is refused by every compiler of WGSL',
  },
  {
    path: /^gemm\/tiled/,
    context: /^if \((row|col) < params\.num\w+ && k < params\.depth\) \{ value/,
    why: 'a row beyond the last goes into sums that are not stored; beyond k, the zero of the other factor is enough',
  },
  {
    path: /^experts\/tiled/,
    context: /^if \(row < tile\.z && k < params\.depth\)|let inside = /,
    why: 'a row beyond the last goes into sums that are not stored; beyond k, the zero of the other factor is enough',
  },
  {
    path: /^(gemm|experts)\/vector|^experts\/(few|down-combine-vector)/,
    context: /i < groups\);$|chunk < chunks\);$/,
    why: 'beyond a row, the zero of the other factor is enough',
  },
  {
    path: /^(gemm|experts)\/matrix/,
    context: /let (near|far)Inside = /,
    why: 'both factors are masked by it, and of the last group twice',
  },
  {
    path: /^gating\/router-topk/,
    context: /^if \(e < params\.numExperts && lane % PARTS == 0u\)/,
    why: 'a logit beyond the last expert lies where nobody looks',
  },
];

export function exceptionOf(path: string, { context }: Site): string | undefined {
  return EXCEPTIONS.find((one) => one.path.test(path) && one.context.test(context))?.why;
}
