/** Made by bench/fit/serving/main.ts: factors and us, fitted to all serving measurements (`Fitted`, `Framework` say of what). */
export const FIGURES = {
  attention: 1.233,
  dense: 0.9559,
  experts: 0.8204,
  widened: 0.3785,
  communication: 1.654,
  reduceUs: 8.237,
  reduceMoreUs: 3.074,
  exchangeUs: 19.01,
  mixtureUs: 28.58,
  sharedUs: 4.839,
  latentUs: 17.24,
  linearUs: 17.08,
  blocksUs: 10.6,
  blackwell: 0.8055,
  prompt: 0.93,
  promptExperts: 2.827,
  promptBlackwell: 1.135,
  eagerUs: 267.1,
} as const;

export const OF_FRAMEWORK = {
  vllm: { stepUs: 288, layerUs: 38.82, sequenceUs: 5.05, requestMs: 20.19 },
  sglang: { stepUs: 1848, layerUs: 31.78, sequenceUs: 25.27, requestMs: 223.3 },
  trtllm: { stepUs: 296.2, layerUs: 36.24, sequenceUs: 4.651, requestMs: 21.69 },
} as const;

/** Measured / projected of families that were left out: the quantiles 0.1 and 0.9, of mixtures and of dense models. */
export const SPREAD = {
  mixture: { tpot: [0.8083, 1.265], ttft: [0.6931, 1.956], rate: [0.7805, 1.231] },
  dense: { tpot: [0.8314, 1.266], ttft: [0.5554, 1.9], rate: [0.7888, 1.202] },
} as const;
