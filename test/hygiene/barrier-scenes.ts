/** A small dispatch or two of every shader with a barrier, which need all of its barriers. */
import type { Scene } from './races.ts';

const plan = {
  spec: { WG: 4, MAX_EXPERTS: 8 },
  params: { numChoices: 8, numExperts: 6, topK: 2 },
  buffers: { ids_TK: [2, 0, 2, 1, 5, 1, 2, 7], start_E: 7, slot_TK: 8, rowToken_R: 8, tiles: 32, grid: 8 },
} as const;
const tiles = { tileRows: 2, tileCapacity: 8, columnGroups: 1, downColumnGroups: 1 };
const blocks = { blockStart_BE: 12, blockCount_BE: 12 };

/** Two sources of 3 experts in 4 slots; all choose expert 0, which has two replicas, and 2 rows of a slot have room. */
const admit = {
  shader: 'routing/admit',
  spec: { WG: 4, MAX_EXPERTS: 4, MAX_SLOTS: 4 },
  params: {
    ...{ topK: 2, numExperts: 3, numSlots: 4, turns: 1, mostChoices: 6, together: 1, groupSize: 2 },
    ...{ choiceStride: 6, logitStride: 9, workStride: 40 },
  },
  buffers: {
    ...{ members: [0, 1], loads_S4: [3, 2, 1, 0, 2, 2, 1, 0], places: [0, 1, 3, 0, 2, 3, 4, 0, 2, 1, 3] },
    ...{ ids_TK: [0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0], logits_TE: 18 },
    ...{ score_TK: [4, 2, 5, 1, 2, 3, 2, 1, 3, 1, 0, 0], slot_TK: 12, work: 80 },
  },
} as const;

const norm = { params: { width: 16, numRows: 1, eps: 1e-6 } };
const rowsOfFour = { x_TD: 16, residual_TD: 16, weight_D: 16, y_TD: 64, sum_TD: 64 };

const topk = {
  spec: { WG: 4, MAX_EXPERTS: 8 },
  params: { numTokens: 1, numExperts: 8, topK: 3, numGroups: 4, groupsKept: 2, scale: 1 },
  buffers: { logits_TE: [1, 5, 3, 3, 2, 4, 5, 0], bias_E: 8, ids_TK: 3, scores_TK: 3 },
} as const;
const router = {
  ...topk,
  spec: { ...topk.spec, PARTS: 2 },
  params: { ...topk.params, modelDim: 8 },
  buffers: { ...topk.buffers, x_TD: 8, gate_ED: 64 },
};

const attention = { numHeads: 1, numKvHeads: 1, headDim: 8, cacheLength: 8, numSequences: 1, scale: 1 };
const keys = { k_RHD: 64, v_RHD: 64, sinks_H: 1 };

/** As bits of f32, since they are read as words. */
const growing = Array.from({ length: 128 }, (_, i) => (i < 64 ? 0x3f800000 : 0x44800000));

const tiled = { THREADS_M: 2, THREADS_N: 2, REG_M: 1, REG_N: 1, TILE_K: 2 };
const expertRows = { x_RK: 32, rowSource: 4, w1_ENK: 64, w3_ENK: 64, bias_E2N: 16, y_RN: 16 };

const matrix = {
  ...{ LANES: 2, SUBGROUPS_M: 1, SUBGROUPS_N: 2, REG_M: 1, REG_N: 1, DIM_M: 2, DIM_N: 4, DIM_K: 8 },
  ...{ TILE_K: 16, PARTS: 2, Pack: 'u32' },
};
const extreme = [2 ** 20, ...Array.from({ length: 63 }, () => 1)];

/** How sums of lanes meet. */
const inSteps = [{ WG: 2 }, { WG: 16, TWO_STEPS: true }];

export const scenes: readonly Scene[] = [
  { shader: 'routing/plan-small', ...plan },
  { shader: 'routing/plan-local', ...plan, params: { ...plan.params, ...tiles } },
  {
    shader: 'routing/histogram',
    ...plan,
    spec: { ...plan.spec, BLOCK: 8 },
    params: { numChoices: 8, numExperts: 6 },
    buffers: { ...plan.buffers, ...blocks },
  },
  {
    shader: 'routing/scan',
    ...plan,
    params: { numBlocks: 2, numExperts: 6 },
    buffers: { ...plan.buffers, ...blocks },
  },
  {
    shader: 'routing/scan-tiles',
    ...plan,
    params: { numBlocks: 2, numExperts: 6, ...tiles },
    buffers: { ...plan.buffers, ...blocks, tiles: 64 },
  },
  {
    shader: 'routing/scatter',
    ...plan,
    spec: { ...plan.spec, BLOCK: 8 },
    buffers: { ...plan.buffers, ...blocks },
  },
  {
    shader: 'routing/receive-plan',
    spec: plan.spec,
    params: {
      ...{ numSources: 2, numExperts: 6, localExperts: 6, numOwners: 1, numLists: 1, rowStride: 16 },
      ...tiles,
      ...{ startsStride: 14, placeStride: 12, tilesStride: 32, gridStride: 8 },
    },
    buffers: {
      ...{ members: [0], start_SE: [0, 1, 2, 3, 4, 5, 6, 0, 2, 2, 3, 3, 4, 5] },
      ...{ receiveStart_ES: 12, tiles: 64, grid: 8 },
    },
  },
  ...[0, 1, 2, 3, 4].flatMap((policy) => [
    { ...admit, spec: { ...admit.spec, POLICY: policy } },
    {
      ...admit,
      spec: { ...admit.spec, POLICY: policy },
      params: { ...admit.params, together: 0 },
      groups: [2, 1, 1] as const,
    },
  ]),
  {
    shader: 'routing/bias-update',
    spec: { WG: 4 },
    params: { numExperts: 6, numRanks: 2, workStride: 6, last: 1, rate: 1 },
    buffers: { loads_S4: [3, 0, 0, 0, 2, 0, 0, 0], work: 12, load_E: 6, bias_E: 6 },
  },
  { shader: 'norm/rms-norm', spec: { WG: 4 }, ...norm, buffers: rowsOfFour },
  { shader: 'norm/rms-norm-held', spec: { WG: 4, SIDE: 2 }, ...norm, buffers: rowsOfFour },
  { shader: 'norm/rms-norm-rows', spec: { WG: 4 }, ...norm, buffers: rowsOfFour },
  { shader: 'gating/topk-workgroup', ...topk },
  { shader: 'gating/topk-workgroup', ...topk, spec: { ...topk.spec, GROUPED: true } },
  { shader: 'gating/router-topk', ...router },
  { shader: 'gating/router-topk', ...router, spec: { ...router.spec, GROUPED: true } },
  {
    shader: 'attention/flash',
    spec: { WG: 2, TILE: 2, HEAD_VECS: 2 },
    params: { ...attention, maxQueries: 2, causal: 1 },
    buffers: { ...keys, q_THD: 16, sequences: [0, 2, 6, 0], o_THD: 16 },
  },
  ...[{ VALUES: 8 }, { VALUES: 4 }, { VALUES: 4, AHEAD: true }].map((change) => ({
    shader: 'attention/blocked',
    spec: { SIDE: 2, COLUMNS: 1, HEAD_VECS: 2, ...change },
    params: { ...attention, cacheLength: 12, maxQueries: 2, causal: 1 },
    buffers: { ...keys, k_RHD: 96, v_RHD: 96, q_THD: 16, sequences: [0, 2, 12, 0], o_THD: 16 },
  })),
  // Two tiles of keys, the second with values 2^10 times as large, so that sums shrink.
  {
    shader: 'attention/matrix',
    shuffles: true,
    spec: {
      ...{ LANES: 2, SUBGROUPS_M: 1, SUBGROUPS_N: 2, REG_M: 2, DIM_M: 2, DIM_N: 4, DIM_K: 8 },
      ...{ KEYS: 8, COLUMNS: 8, HEAD_VECS: 2 },
    },
    params: { ...attention, cacheLength: 16, maxQueries: 4 },
    buffers: { ...keys, k_RHD: 128, v_RHD: growing, q_THD: 32, sequences: [0, 4, 16, 0], o_THD: 32 },
  },
  {
    shader: 'attention/decode-heads',
    shuffles: true,
    spec: { WG: 8, LANES: 4, KEYS: 1, HEAD_VECS: 2 },
    params: { ...attention, maxQueries: 1, causal: 1, numParts: 1 },
    buffers: { ...keys, q_THD: 8, sequences: [0, 1, 8, 0], o_THD: 8 },
  },
  {
    shader: 'attention/merge-teams',
    spec: { WG: 16, HEAD_VECS: 2, SPAN: 2 },
    params: { numHeads: 1, maxQueries: 1, numSequences: 1, causal: 1, numParts: 4, keysPerPart: 2 },
    buffers: { parts_THPD: 48, sequences: [0, 1, 8, 0], o_THD: 8, sinks_H: 1 },
  },
  {
    shader: 'attention/decode',
    spec: { WG: 4, CHUNK: 4, HEAD_VECS: 2 },
    params: { ...attention, maxQueries: 1, causal: 1, numParts: 1 },
    buffers: { ...keys, q_THD: 8, sequences: [0, 1, 8, 0], o_THD: 8 },
  },
  {
    shader: 'norm/qk-squares',
    spec: { WG: 4 },
    params: { numRows: 1, queryWidth: 8, keyWidth: 4, keyShare: 1 },
    buffers: { qkv_TC: 16, squares_T2: 2 },
  },
  {
    shader: 'norm/qk-norm',
    spec: { WG: 4 },
    params: { numRows: 1, numHeads: 2, numKvHeads: 1, headDim: 4, eps: 1 },
    buffers: { qkv_TC: 16, weight_C: 8, squares_T2: 2 },
  },
  {
    shader: 'gemm/tiled',
    spec: tiled,
    params: { numRows: 2, numCols: 2, depth: 4 },
    buffers: { a_MK: 8, b_NK: 8, c_MN: 4, bias_N: 2 },
  },
  {
    shader: 'gemm/blocked',
    spec: { THREADS_M: 2, THREADS_N: 2, REG_M: 4, REG_N: 4, TILE_K: 8 },
    params: { numRows: 8, numCols: 8, depth: 16 },
    buffers: { a_MK: 128, b_NK: 128, c_MN: 64, bias_N: 8 },
  },
  {
    shader: 'gemm/int8',
    spec: { THREADS_M: 2, THREADS_N: 2, WORDS: 2 },
    params: { numRows: 16, numCols: 16, depth: 16, scaleStart: 64 },
    buffers: { a_MK: 256, b_NK: 80, c_MN: 256, bias_N: 16 },
  },
  // Rows that two threads share the search of; the far ones of a tile that small are fetched by nobody.
  {
    shader: 'gemm/f16',
    spec: { THREADS_M: 2, THREADS_N: 2, TILE_K: 8 },
    params: { numRows: 4, numCols: 4, depth: 16 },
    buffers: { a_MK: 64, b_NK: 64, c_MN: 16, bias_N: 4 },
  },
  // A row with 2^20 is no ordinary one, and has all computed anew.
  {
    shader: 'gemm/matrix',
    spec: { ...matrix, FORMAT: 2 },
    params: { numRows: 2, numCols: 8, depth: 32, scaleStart: 64 },
    buffers: { a_MK: extreme, b_NK: 72, c_MN: 16, bias_N: 8 },
  },
  ...inSteps.map((spec) => ({
    shader: 'gemm/row',
    spec,
    params: { numRows: 1, numCols: 4, depth: 16 },
    buffers: { a_MK: 16, b_NK: 64, c_MN: 4, bias_N: 4 },
  })),
  {
    shader: 'experts/tiled',
    spec: tiled,
    params: { numCols: 2, depth: 4, topK: 1 },
    buffers: { ...expertRows, tiles: [0, 0, 2, 0] },
  },
  {
    shader: 'experts/blocked',
    spec: { THREADS_M: 2, THREADS_N: 2, REG_M: 4, TILE_K: 4 },
    params: { numCols: 8, depth: 8, topK: 1 },
    buffers: { ...expertRows, x_RK: 64, y_RN: 64, tiles: [0, 0, 8, 0] },
  },
  {
    shader: 'experts/f16',
    spec: { THREADS_M: 2, THREADS_N: 2, TILE_K: 8 },
    params: { numCols: 4, depth: 16, topK: 1 },
    buffers: { ...expertRows, x_RK: 64, w1_ENK: 64, w3_ENK: 64, tiles: [0, 0, 4, 0] },
  },
  {
    shader: 'experts/int8',
    spec: { THREADS_M: 2, THREADS_N: 2, WORDS: 2 },
    params: { numCols: 4, depth: 16, scaleStart: 16 },
    buffers: { ...expertRows, x_RK: 64, w1_ENK: 20, w3_ENK: 20, tiles: [0, 0, 4, 0] },
  },
  {
    shader: 'experts/matrix',
    spec: { ...matrix, FORMAT: 2 },
    params: { numCols: 4, depth: 32, scaleStart: 32 },
    buffers: { ...expertRows, x_RK: extreme, w1_ENK: 40, w3_ENK: 40, tiles: [0, 0, 2, 0] },
  },
  ...inSteps.map((spec) => ({
    shader: 'experts/row',
    spec,
    params: { numCols: 4, depth: 8, topK: 1 },
    buffers: { ...expertRows, tiles: [0, 0, 3, 0] },
  })),
  ...inSteps.map((spec) => ({
    shader: 'experts/down-combine',
    spec,
    params: { depth: 8, numCols: 4, topK: 2, numTokens: 1 },
    buffers: {
      ...{ h_RK: 16, ids_TK: [0, 1], scores_TK: [1, 1], w2_ENK: 64, bias_EN: 8, residual_TN: 4 },
      y_TN: 4,
    },
  })),
  {
    shader: 'probes/workgroup',
    spec: { WG: 4, SLOTS: 8 },
    params: { lanes: 4, loads: 4 },
    buffers: { y: 16 },
  },
];
