/** Made by bench/fit/serving/main.ts: factors and us, fitted to all serving measurements (`Fitted`, `Framework` say of what). */
export const FIGURES = {
  attention: 1.247,
  dense: 0.9779,
  experts: 0.7754,
  widensGbPerS: 25.12,
  promptWidened: 1.31,
  reduce: 1.331,
  exchange: 1.364,
  reduceUs: 8.826,
  reduceMoreUs: 3.198,
  exchangeUs: 19.13,
  mixtureUs: 30,
  sharedUs: 4.937,
  latentUs: 17.45,
  linearUs: 17.86,
  blocksUs: 10.59,
  blackwell: 0.7909,
  prompt: 0.9156,
  promptExperts: 2.58,
  promptBlackwell: 1.222,
  eager: 9.496,
} as const;

export const OF_FRAMEWORK = {
  vllm: { stepUs: 292.2, layerUs: 36.28, sequenceUs: 4.945, requestMs: 17.76 },
  sglang: { stepUs: 1880, layerUs: 36.15, sequenceUs: 25.47, requestMs: 156 },
  trtllm: { stepUs: 300.4, layerUs: 33.85, sequenceUs: 4.657, requestMs: 22.49 },
  typical: { stepUs: 486.3, layerUs: 37.42, sequenceUs: 8.267, requestMs: 38.92 },
} as const;

/**
 * Measured / projected of families that were left out: the quantiles 0.1 and 0.9, of mixtures and of dense models, where the
 * framework has a name and where it has none.
 */
export const SPREAD = {
  named: {
    mixture: { tpot: [0.803, 1.234], ttft: [0.7141, 1.823], rate: [0.7902, 1.231] },
    dense: { tpot: [0.8178, 1.297], ttft: [0.6513, 1.973], rate: [0.772, 1.201] },
  },
  unnamed: {
    mixture: { tpot: [0.7885, 1.208], ttft: [0.6791, 1.821], rate: [0.8058, 1.259] },
    dense: { tpot: [0.8443, 1.333], ttft: [0.5486, 2.722], rate: [0.746, 1.11] },
  },
} as const;
