/** What may be asked of a hardware's curves: one operation of one GPU, or of a group of GPUs together. */

/** y = x W: [m, k] times [k, n]. */
export interface GemmQuery {
  readonly op: 'gemm';
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly dtype: string;
}

/**
 * How uneven an MoE layer's routing is: equal counts; expert i chosen in proportion to (i + 1)^-alpha (`zipf`); or
 * densities drawn from the power law of exponent alpha, as benchmarks of real engines draw them (`power-law`).
 */
export type Skew =
  | { readonly kind: 'balanced' }
  | { readonly kind: 'uniform' }
  | { readonly kind: 'zipf' | 'power-law'; readonly alpha: number };

/** A fused MoE layer, both products and the activation between them, without communication: the time of the hottest rank. */
export interface MoeQuery {
  readonly op: 'moe';
  /** Tokens of the whole EP group, before they are dealt to ranks. */
  readonly tokens: number;
  readonly hidden: number;
  /** Width of one expert, before it is cut over `tp`. */
  readonly inter: number;
  readonly experts: number;
  readonly topk: number;
  /** Ranks that share one expert by columns. Default 1. */
  readonly tp?: number;
  /** Ranks that the experts are dealt to. Default 1. */
  readonly ep?: number;
  readonly dtype: string;
  /** Default balanced. */
  readonly skew?: Skew;
  /** Places for experts over all ranks, `experts` when absent; more hold copies of the most chosen. */
  readonly slots?: number;
  /** Experts are placed by their load (DeepSeek's EPLB), not in order. */
  readonly placed?: boolean;
  /** Rows of the hottest rank and how many of its experts have any, where they are known: they go before `skew`. */
  readonly rows?: number;
  readonly activeExperts?: number;
}

/** Attention of `batch` prompts of `seq` new tokens, causal, of one rank's heads. */
export interface PrefillQuery {
  readonly op: 'attention-prefill';
  readonly batch: number;
  readonly seq: number;
  /** Tokens of each prompt that are in the cache already: the new ones attend to them too. Default 0. */
  readonly prefix?: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Default bfloat16. */
  readonly dtype?: string;
}

/** One new token of each of `batch` sequences against `kv` cached ones, of one rank's heads. */
export interface DecodeQuery {
  readonly op: 'attention-decode';
  readonly batch: number;
  readonly kv: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Of the cache. Default bfloat16. */
  readonly dtype?: string;
}

/** Multi-head latent attention with DeepSeek's widths (latent 512, rotary 64), of one rank's heads, projections excluded. */
export interface MlaPrefillQuery {
  readonly op: 'mla-prefill';
  readonly batch: number;
  readonly seq: number;
  readonly heads: number;
  readonly dtype?: string;
}

/** As `MlaPrefillQuery`, one new token of each sequence, absorbed: the cache's 576 numbers per token are read once for all heads. */
export interface MlaDecodeQuery {
  readonly op: 'mla-decode';
  readonly batch: number;
  readonly kv: number;
  readonly heads: number;
  readonly dtype?: string;
}

export const COLLECTIVES = ['all_reduce', 'all_gather', 'reduce_scatter', 'alltoall'] as const;
export type Collective = (typeof COLLECTIVES)[number];

/** One collective of `ranks` GPUs; `bytes` as nccl-tests count them: the whole buffer, of all ranks for a gather. */
export interface CollectiveQuery {
  readonly op: Collective;
  readonly bytes: number;
  readonly ranks: number;
  /** Default: as few as hold the ranks. */
  readonly nodes?: number;
  readonly dtype?: string;
}

/** The exchange of an expert-parallel group before the experts (`ep-dispatch`) or after them (`ep-combine`). */
export interface ExchangeQuery {
  readonly op: 'ep-dispatch' | 'ep-combine';
  /** Of each rank. */
  readonly tokens: number;
  readonly hidden: number;
  readonly experts: number;
  readonly topk: number;
  readonly ranks: number;
  /** Default: as few as hold the ranks. */
  readonly nodes?: number;
  /** Of what travels; default fp8 for a dispatch and bfloat16 for a combine. */
  readonly dtype?: string;
  /**
   * `low-latency` or `normal` (DeepEP), `one-sided` or `two-sided` (TensorRT-LLM, within one NVLink domain). Default:
   * low-latency up to 256 tokens a rank (a guess).
   */
  readonly mode?: string;
  /** Streaming multiprocessors that the exchange may use, in normal mode. */
  readonly sms?: number;
}

/** Whose kernels: `trtllm`, `vllm`, `nccl`. Without it the mean of those that were measured. */
interface OfLibrary {
  readonly lib?: string;
}

export type Query = (
  | GemmQuery
  | MoeQuery
  | PrefillQuery
  | DecodeQuery
  | MlaPrefillQuery
  | MlaDecodeQuery
  | CollectiveQuery
  | ExchangeQuery
) &
  OfLibrary;

/** How long an operation takes by the curves. */
export interface Timing {
  readonly us: number;
  /** Bounds of the 80 % interval: half of what is left on either side. */
  readonly low: number;
  readonly high: number;
  /** Where in the measured space the answer lies: `gemm h100_sxm fp8`, or `none covers this: ...`. */
  readonly region: string;
  /** What it was taken from: the measurements, or the formula and the figures in it. */
  readonly source: string;
  /** `modelled` where measurements of this very operation and hardware stand behind it, else `assumed`. */
  readonly tag: 'modelled' | 'assumed';
}
