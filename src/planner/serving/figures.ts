/** Made by bench/fit/serving/main.ts: factors and us, fitted to all serving measurements (`Fitted`, `Framework` say of what). */
export const FIGURES = {
  attention: 1.242,
  dense: 0.9724,
  experts: 0.7696,
  widened: 0.3963,
  reduce: 1.398,
  exchange: 1.367,
  reduceUs: 8.899,
  reduceMoreUs: 3.22,
  exchangeUs: 19.13,
  mixtureUs: 29.09,
  sharedUs: 4.961,
  latentUs: 17.76,
  linearUs: 17.87,
  blocksUs: 10.76,
  blackwell: 0.7948,
  prompt: 0.929,
  promptExperts: 2.316,
  promptBlackwell: 1.285,
  eager: 9.087,
} as const;

export const OF_FRAMEWORK = {
  vllm: { stepUs: 292.3, layerUs: 36.8, sequenceUs: 4.983, requestMs: 17.9 },
  sglang: { stepUs: 1841, layerUs: 37.05, sequenceUs: 24.7, requestMs: 158 },
  trtllm: { stepUs: 303.1, layerUs: 32.61, sequenceUs: 4.651, requestMs: 21.35 },
} as const;

/** Measured / projected of families that were left out: the quantiles 0.1 and 0.9, of mixtures and of dense models. */
export const SPREAD = {
  mixture: { tpot: [0.806, 1.262], ttft: [0.6829, 1.798], rate: [0.7773, 1.229] },
  dense: { tpot: [0.8218, 1.289], ttft: [0.6598, 1.988], rate: [0.7777, 1.194] },
} as const;
