/** Chosen kernels that may spill, by target: named, so that a new one is seen. Nothing is excepted on AMD and NVIDIA. */

interface Exception {
  readonly kernel: RegExp;
  readonly why: string;
}

const INTEL: readonly Exception[] = [
  {
    kernel: /^experts\.blocked,/,
    why: 'SIMD16 has 64 values a lane: 32 sums and 16 values that are put into the tile leave too few',
  },
  {
    kernel: /^(gemm|experts)\.(row|down-combine),(int4|mxfp4)/,
    why: 'a chunk of 32 quantised values and their 32 factors are in flight for each of 8 columns',
  },
  {
    kernel: /^attention\.blocked/,
    why: 'SIMD16 has 64 values a lane: 16 scores and 32 sums fill 48 of them',
  },
  {
    kernel: /^attention\.decode-heads,LANES-8,.*HEAD_VECS-/,
    why: 'subgroups may have 8 lanes, which then hold 16 or 32 values of a head of 128 or 256 each, four times',
  },
];

export const EXCEPTIONS: Readonly<Record<string, readonly Exception[]>> = {
  'iris-xe': INTEL,
  arc: INTEL,
  m1: [
    {
      kernel: /^attention\.blocked/,
      why: 'up to 172 bytes a thread beside 255 half registers; a smaller tile would read more storage than that',
    },
  ],
};
