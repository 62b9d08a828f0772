/** Made by bench/fit/serving/main.ts: factors and us, fitted to all serving measurements (`Fitted`, `Framework` say of what). */
export const FIGURES = {
  attention: 1.235,
  dense: 0.9478,
  denseBlackwell: 1.271,
  experts: 0.8956,
  expertsOfFour: 0.6695,
  widensGbPerS: 25.39,
  promptWidened: 1.187,
  reduce: 1.344,
  exchange: 1.34,
  reduceUs: 8.338,
  reduceMoreUs: 3.094,
  exchangeUs: 18.86,
  mixtureUs: 31.91,
  sharedUs: 4.958,
  latentUs: 18.94,
  linearUs: 17.08,
  blocksUs: 9.544,
  blackwell: 0.7863,
  prompt: 0.9206,
  promptExperts: 2.648,
  promptBlackwell: 1.255,
  eager: 9.534,
} as const;

export const OF_FRAMEWORK = {
  vllm: { stepUs: 296.4, layerUs: 34.66, sequenceUs: 5.023, requestMs: 17.3 },
  sglang: { stepUs: 1805, layerUs: 33.84, sequenceUs: 24.89, requestMs: 150.9 },
  trtllm: { stepUs: 301, layerUs: 33.05, sequenceUs: 4.783, requestMs: 22.21 },
  typical: { stepUs: 510.5, layerUs: 34.38, sequenceUs: 8.541, requestMs: 37.11 },
} as const;

/**
 * Measured / projected of families that were left out: the quantiles 0.1 and 0.9, of mixtures and of dense models, where the
 * framework has a name and where it has none.
 */
export const SPREAD = {
  named: {
    mixture: { tpot: [0.8274, 1.215], ttft: [0.7112, 1.724], rate: [0.8112, 1.196] },
    dense: { tpot: [0.8294, 1.196], ttft: [0.6612, 1.847], rate: [0.8406, 1.187] },
  },
  unnamed: {
    mixture: { tpot: [0.8109, 1.183], ttft: [0.6797, 1.732], rate: [0.8287, 1.21] },
    dense: { tpot: [0.8346, 1.293], ttft: [0.5609, 2.532], rate: [0.7788, 1.126] },
  },
} as const;
