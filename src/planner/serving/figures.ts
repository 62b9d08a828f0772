/** Made by bench/fit/serving/main.ts: factors and us, fitted to all serving measurements (`Fitted`, `Framework` say of what). */
export const FIGURES = {
  attention: 1.01,
  dense: 0.9324,
  experts: 0.8093,
  widened: 0.3875,
  communication: 1.556,
  reduceUs: 8.811,
  reduceMoreUs: 3.188,
  exchangeUs: 20.14,
  mixtureUs: 32.55,
  sharedUs: 4.969,
  latentUs: 18.54,
  linearUs: 17.41,
  blackwell: 0.7672,
  prompt: 1.01,
  promptExperts: 2.909,
  promptBlackwell: 1.254,
  eagerUs: 252.3,
} as const;

export const OF_FRAMEWORK = {
  vllm: { stepUs: 285.4, layerUs: 41.98, sequenceUs: 4.934, requestMs: 20.36 },
  sglang: { stepUs: 1876, layerUs: 32.75, sequenceUs: 21.78, requestMs: 234.1 },
  trtllm: { stepUs: 289, layerUs: 34.27, sequenceUs: 4.606, requestMs: 21.7 },
} as const;

/** Measured / projected of families that were left out: the quantiles 0.1 and 0.9. */
export const SPREAD = {
  tpot: [0.7944, 1.295],
  ttft: [0.6708, 1.881],
  rate: [0.7652, 1.264],
} as const;
