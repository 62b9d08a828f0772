/** Made by bench/fit/serving/main.ts: factors and us, fitted to all serving measurements (`Fitted`, `Framework` say of what). */
export const FIGURES = {
  attention: 1.214,
  dense: 0.9532,
  denseBlackwell: 1.287,
  experts: 0.9215,
  expertsOfFour: 0.6822,
  widensGbPerS: 25.73,
  promptWidened: 1.186,
  reduce: 1.313,
  exchange: 1.375,
  reduceUs: 7.931,
  reduceMoreUs: 3.043,
  exchangeUs: 20.05,
  mixtureUs: 31.55,
  sharedUs: 4.986,
  latentUs: 19.37,
  linearUs: 17.09,
  blocksUs: 9.682,
  blackwell: 0.7818,
  prompt: 0.9346,
  promptExperts: 2.585,
  promptBlackwell: 1.267,
  eager: 9.465,
} as const;

export const OF_FRAMEWORK = {
  vllm: { stepUs: 297.8, layerUs: 36.09, sequenceUs: 4.984, requestMs: 17.19 },
  sglang: { stepUs: 1785, layerUs: 32.85, sequenceUs: 25.04, requestMs: 151.2 },
  trtllm: { stepUs: 297.7, layerUs: 32.85, sequenceUs: 4.773, requestMs: 22.23 },
  typical: { stepUs: 507.3, layerUs: 35.17, sequenceUs: 8.314, requestMs: 36.92 },
} as const;

/**
 * Measured / projected of families that were left out: the quantiles 0.1 and 0.9, of mixtures and of dense models, where the
 * framework has a name and where it has none.
 */
export const SPREAD = {
  named: {
    mixture: { tpot: [0.8378, 1.198], ttft: [0.7075, 1.669], rate: [0.817, 1.185] },
    dense: { tpot: [0.8246, 1.192], ttft: [0.6515, 1.837], rate: [0.8451, 1.193] },
  },
  unnamed: {
    mixture: { tpot: [0.8169, 1.168], ttft: [0.6739, 1.693], rate: [0.8403, 1.213] },
    dense: { tpot: [0.8176, 1.287], ttft: [0.5499, 2.484], rate: [0.7871, 1.154] },
  },
} as const;
