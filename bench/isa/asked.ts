/** The kernels that are compiled: what the engine and the registry choose by themselves, then every variant by name. */
import { oneDeviceTransport } from '../../src/collectives/one-device.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { prepareAttention } from '../../src/kernels/attention/attention.ts';
import { prepareRope, prepareRopeAppend, ropeVariants } from '../../src/kernels/attention/rope.ts';
import { attentionVariants } from '../../src/kernels/attention/variants.ts';
import { gemmVariants, prepareGemm } from '../../src/kernels/dense/gemm.ts';
import { prepareRmsNorm, rmsNormVariants } from '../../src/kernels/dense/rms-norm.ts';
import { expertVariants, prepareExpertGemm } from '../../src/kernels/experts/experts.ts';
import { prepareTopk, topkVariants } from '../../src/kernels/routing/gating.ts';
import { prepareCombine, prepareGatherRows } from '../../src/kernels/routing/rows.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { CARD_LAYOUT } from '../../src/layout/spec.ts';
import { planEngine } from '../../src/memory/engine-plan.ts';
import { presetNamed } from '../../src/model/presets.ts';
import { prepareLayer, traitsOf } from '../../src/runtime/layer/kernels.ts';
import { WEIGHT_DTYPES } from '../../src/tensor/quantised.ts';
import { CARD_USES } from './goals.ts';

export interface Asked {
  readonly what: string;
  /** By the registry, which was asked for no variant. */
  readonly chosen: boolean;
  readonly prepare: () => Promise<unknown>;
}

const ONE_RANK = { ep: 1, pp: 1, tp: 1, dp: 1 };
const LIMITS = { maxSequences: 16, maxLength: 2048, maxStepTokens: 512 };

/** What the engine prepares for the card preset. */
function* ofEngine(gpu: Gpu): Generator<Asked> {
  const { config } = presetNamed('card');
  for (const [what, spec] of [
    ['1 rank', ONE_RANK],
    ['128 ranks', CARD_LAYOUT],
  ] as const) {
    const layout = planLayout(spec, config);
    for (const weightDtype of WEIGHT_DTYPES) {
      for (const cacheDtype of weightDtype === 'int8' ? (['f32', 'f16'] as const) : (['f32'] as const)) {
        const prepare = async (): Promise<unknown> => {
          const plan = planEngine(layout, { ...LIMITS, weightDtype, cacheDtype }, traitsOf(gpu));
          return prepareLayer(gpu, plan, await oneDeviceTransport(gpu));
        };
        yield { what: `engine, ${what}, ${weightDtype}`, chosen: true, prepare };
      }
    }
  }
}

/** GEMM and experts at the card's shapes. */
function* ofProducts(gpu: Gpu): Generator<Asked> {
  for (const weightDtype of WEIGHT_DTYPES) {
    const matrix = { numCols: 3072, depth: 1024, weightDtype };
    for (const numRows of [1, 8, 512]) {
      const prepare = () => prepareGemm(gpu, { ...matrix, numRows });
      yield { what: numRows === 512 ? CARD_USES.gemm : `gemm, ${numRows} rows`, chosen: true, prepare };
    }
    for (const { name } of gemmVariants) {
      const prepare = () => prepareGemm(gpu, { ...matrix, numRows: 512 }, name);
      yield { what: CARD_USES.gemmNamed(name), chosen: false, prepare };
    }
    const experts = (rowsPerExpert: number) => {
      const both = { numExperts: 16, weightDtype, biased: false, rowsPerExpert };
      const up = {
        ...both,
        depth: 1024,
        numCols: 2048,
        gated: true,
        activation: 'silu' as const,
        gather: true,
      };
      const down = {
        ...both,
        depth: 2048,
        numCols: 1024,
        gated: false,
        activation: 'identity' as const,
      };
      return { up, down };
    };
    for (const rows of [1, 8, 64]) {
      const { up, down } = experts(rows);
      const { up: ofUp, down: ofDown } =
        rows === 64 ? CARD_USES : { up: `experts up, ${rows} rows`, down: `experts down, ${rows} rows` };
      yield { what: ofUp, chosen: true, prepare: () => prepareExpertGemm(gpu, up) };
      yield { what: ofDown, chosen: true, prepare: () => prepareExpertGemm(gpu, down) };
    }
    const { up, down } = experts(64);
    for (const { name } of expertVariants) {
      const prepare = async (): Promise<unknown> =>
        Promise.all([prepareExpertGemm(gpu, up, name), prepareExpertGemm(gpu, down, name)]);
      yield { what: CARD_USES.expertsNamed(name), chosen: false, prepare };
    }
  }
}

function* ofAttention(gpu: Gpu): Generator<Asked> {
  for (const headDim of [64, 128, 256]) {
    for (const kvDtype of ['f32', 'f16'] as const) {
      const grouped = [16, 4];
      for (const numKvHeads of grouped) {
        const heads = {
          ...{ numHeads: 16, numKvHeads, headDim, causal: true, scale: 1 / Math.sqrt(headDim) },
          ...{ cacheLength: 2048, kvDtype },
        };
        for (const [queries, numSequences] of [
          [1, 1],
          [1, 16],
          [64, 1],
        ] as const) {
          const prepare = () => prepareAttention(gpu, { ...heads, queries, numSequences });
          yield {
            what:
              queries === 64
                ? CARD_USES.prefill(headDim)
                : `attention, ${queries} queries of ${numSequences}, heads of ${headDim}`,
            chosen: true,
            prepare,
          };
        }
        for (const { name } of attentionVariants) {
          // Of the longest heads, the variants of prefill that are for GPUs.
          if (headDim === 256 && name !== 'matrix') continue;
          const queries = /^(decode|split)/.test(name) ? 1 : 64;
          const prepare = () => prepareAttention(gpu, { ...heads, queries }, name);
          yield { what: CARD_USES.attentionNamed(name, headDim), chosen: false, prepare };
        }
      }
    }
  }
}

function* ofRows(gpu: Gpu): Generator<Asked> {
  for (const { name } of topkVariants) {
    const shape = { numExperts: 128, topK: 8, score: 'softmax' as const, renormalize: true };
    yield { what: `gate-topk ${name}`, chosen: false, prepare: () => prepareTopk(gpu, shape, name) };
  }
  for (const { name } of rmsNormVariants) {
    const shape = { width: 1024, eps: 1e-6, residual: true };
    yield { what: `rms-norm ${name}`, chosen: false, prepare: () => prepareRmsNorm(gpu, shape, name) };
  }
  for (const dtype of ['f32', 'f16'] as const) {
    const prepare = () => prepareGatherRows(gpu, { width: 1024, dtype });
    yield { what: `gather of rows in ${dtype}`, chosen: true, prepare };
    const heads = { numHeads: 16, numKvHeads: 4, headDim: 64, kvDtype: dtype };
    yield {
      what: `append to a cache in ${dtype}`,
      chosen: true,
      prepare: () => prepareRopeAppend(gpu, heads),
    };
  }
  for (const residual of [false, true]) {
    const prepare = () => prepareCombine(gpu, { width: 1024, topK: 8, residual });
    yield { what: 'combine of 8', chosen: true, prepare };
    const norm = () => prepareRmsNorm(gpu, { width: 1024, eps: 1e-6, residual });
    yield { what: 'rms-norm of 1,024', chosen: true, prepare: norm };
  }
  for (const { name } of ropeVariants) {
    const shape = { headDim: 64, interleaved: false };
    yield { what: `rope ${name}`, chosen: false, prepare: () => prepareRope(gpu, shape, name) };
  }
}

/** All of them; a kernel that several ask for is compiled once. */
export function* asked(gpu: Gpu): Generator<Asked> {
  yield* ofEngine(gpu);
  yield* ofProducts(gpu);
  yield* ofAttention(gpu);
  yield* ofRows(gpu);
}
