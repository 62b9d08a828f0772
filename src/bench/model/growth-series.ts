/** What is expected to grow, with what, and how fast. Sizes are small enough for a CPU adapter. */
import type { Subject } from '../../validate/draw/subject.ts';

export interface GrowthSeries {
  readonly name: string;
  /** What grows: 'T'. */
  readonly variable: string;
  readonly what: string;
  readonly sizes: readonly number[];
  readonly subject: (size: number) => Subject;
  /** Only these kernels of the op, by their shader; all when absent. */
  readonly counted?: RegExp;
  /** Exponent of the time. */
  readonly expected: number;
  readonly tolerance: number;
  /** Least size that a growing series is fitted to. */
  readonly from?: number;
  /** Largest size that a flat series is fitted to. */
  readonly upTo?: number;
}

const powers = (first: number, last: number, factor: number): number[] => {
  const sizes: number[] = [];
  for (let size = first; size <= last; size *= factor) sizes.push(size);
  return sizes;
};

const layer = (T: number, E: number, D: number, k: number): Subject => ({
  ...{ op: 'moe', dims: { T, E, D, F: D }, attrs: { k }, with: ['logits', 'w3'] },
});

/** Of the series that grow in another size. A guess. */
const ROWS = 4096;

interface ListedSeries extends GrowthSeries {
  /** Few and small ones that still carry a fit: for a bench, which has other things to do. */
  readonly shortSizes: readonly number[];
}

export const GROWTH_SERIES: readonly ListedSeries[] = [
  {
    name: 'grouped GEMM, rows',
    variable: 'T',
    what: 'both products of an expert, 8 experts of width 128, top-2, so 2 T rows',
    sizes: powers(1, 4096, 2),
    shortSizes: [1, 128, 256, 512, 1024],
    subject: (T) => layer(T, 8, 128, 2),
    counted: /experts\//,
    expected: 1,
    tolerance: 0.2,
    // 32 rows an expert fill a tile; below that, every expert's weights are read for rows that are not there.
    from: (8 * 32) / 2,
  },
  {
    name: 'grouped GEMM, experts',
    variable: 'E',
    what: `both products, ${ROWS} rows dealt to E experts of width 64`,
    sizes: powers(1, 256, 4),
    shortSizes: [1, 8, 64],
    subject: (E) => layer(ROWS, E, 64, 1),
    counted: /experts\//,
    expected: 0,
    tolerance: 0.2,
    // 64 rows an expert: below that, tiles are not full.
    upTo: ROWS / 64,
  },
  {
    name: 'routing',
    variable: 'T',
    what: 'top-2 of 16 experts, plan, permutation and combination of rows of width 16',
    sizes: powers(1, 32768, 2),
    shortSizes: [1, 2048, 4096, 8192],
    subject: (T) => layer(T, 16, 16, 2),
    counted: /gating\/|routing\//,
    expected: 1,
    tolerance: 0.2,
    // A block of choices is a workgroup's: from here on there are several for every core of a small machine.
    from: 2048,
  },
  {
    name: 'attention, decode',
    variable: 'KV',
    what: 'one query against KV keys, 8 heads of 64',
    sizes: powers(128, 8192, 2),
    shortSizes: [128, 1024, 2048, 4096],
    subject: (Skv) => ({ op: 'attention', dims: { B: 1, Sq: 1, Skv, Hq: 8, Hkv: 8, Dh: 64 } }),
    expected: 1,
    tolerance: 0.2,
  },
  {
    name: 'attention, prefill',
    variable: 'S',
    what: 'S queries against as many keys, causal, one head of 32',
    sizes: powers(128, 8192, 2),
    shortSizes: [64, 512, 768, 1024],
    subject: (S) => ({ op: 'attention', dims: { B: 1, Sq: S, Skv: S, Hq: 1, Hkv: 1, Dh: 32 } }),
    expected: 2,
    tolerance: 0.25,
  },
];

/** The same series over few and small sizes. */
export const SHORT_SERIES: readonly GrowthSeries[] = GROWTH_SERIES.map(({ shortSizes, ...one }) => ({
  ...one,
  sizes: shortSizes,
}));
