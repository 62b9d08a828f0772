/** Why nobody misses one that survives. */
import type { Site } from './sites.ts';

interface Exception {
  /** Of the path. */
  readonly path: RegExp;
  /** Of the line that it is in. */
  readonly context: RegExp;
  readonly why: string;
}

const NOT_STORED = 'only saves work: what is computed for queries that are not there is not stored';

const EXCEPTIONS: readonly Exception[] = [
  {
    path: /./,
    context: /workgroupUniformLoad\(/,
    why: 'a barrier after a branch that lanes need not take alike is refused by every compiler of WGSL',
  },
  {
    path: /^attention\/(blocked|flash|matrix)/,
    context: /^if \(firstQuery >= sequence\.y\) \{ return; \}/,
    why: NOT_STORED,
  },
  {
    path: /^attention\/flash/,
    context: /^if \(firstQuery \+ lane < sequence\.y\) \{/,
    why: 'only saves work: lanes past the last query repeat it, with the same bits',
  },
  {
    path: /^attention\/(subgroup|decode-subgroup)/,
    context: /^if \((firstQuery|i) >= sequence\.y\) \{ numKeys = 0u; \}/,
    why: NOT_STORED,
  },
  {
    path: /^attention\/decode/,
    context: /^if \(oldest >= numKeys\) \{ return; \}/,
    why: 'only saves work: a part without a visible key is read by no merge',
  },
  {
    path: /^attention\/decode\.wgsl/,
    context: /^if \((d < HEAD_VECS && firstOwn < GROUPS|lane < HEAD_VECS)\) \{/,
    why: 'sums of columns beyond a head, and of lanes beyond the last group, are not stored',
  },
  {
    path: /^attention\/blocked/,
    context: /^\} else if \(first \+ chunk < numKeysOfLast && /,
    why: 'only saves work: a key that no query sees has no weight, and is left out by it',
  },
  {
    path: /^attention\/matrix/,
    context: /^let inside = firstVec \+ vec < HEAD_VECS;/,
    why: 'columns beyond a head repeat its last one, in sums of their own that are not stored',
  },
  {
    path: /^gating\/topk-thread/,
    context: /^return \(keys == next\) & /,
    why: 'only saves work: places whose order does not matter are compared in full, with the same result',
  },
  {
    path: /^gating\/topk-thread/,
    context: /^return any\(\(scores < vec4<f32>\(LEAST_SCORE\)\)/,
    why: 'only saves work: of scores that are looked at again, none changes that is not tiny',
  },
  {
    path: /^gating\/router-topk/,
    context: /^if \(e < params\.numExperts && lane % PARTS == 0u\)/,
    why: 'a logit beyond the last expert lies where nobody looks',
  },
  {
    path: /^norm\/rms-norm-rows/,
    context: /^if \(t >= params\.numRows\) \{ return; \}/,
    why: 'only saves work: rows past the last repeat it, with the same bits',
  },
  {
    path: /^routing\/scatter/,
    context: /^if \(begin >= params\.numChoices\) \{ return; \}/,
    why: 'only saves work: a block past the last choice has none to place',
  },
  {
    path: /^gemm\/tiled/,
    context: /^if \((row|col) < params\.num\w+ && k < params\.depth\) \{ value/,
    why: 'a row beyond the last goes into sums that are not stored',
  },
  {
    path: /^(gemm|experts)\/blocked/,
    context: /^let fetches(A|W) = /,
    why: 'every variant has a four of these rows for every thread: the constants before it say so',
  },
  {
    path: /^(gemm|experts)\/f16/,
    context: /^if \(WIDE && most > 0u && most < 0x800000u\)/,
    why: 'keeps weights among the normal numbers of f16: an adapter may drop those below, which hold them exactly where it does not',
  },
  {
    path: /^experts\/tiled/,
    context: /^if \(row < tile\.z && k < params\.depth\)|let inside = /,
    why: 'a row beyond the last goes into sums that are not stored',
  },
  {
    path: /^experts\/(few|subgroup)/,
    context: /^if \(tile\.y >= tile\.z\) \{ return; \}/,
    why: 'only saves work: of a tile without rows none is stored',
  },
];

export function exceptionOf(path: string, { context }: Site): string | undefined {
  return EXCEPTIONS.find((one) => one.path.test(path) && one.context.test(context))?.why;
}
