/** The two ends of the pipeline: token embedding on the first stage, logits on the last. */
import type { CommandList } from '../gpu/command-list.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import { at, range } from '../core/math.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { prepareGemm, type Gemm } from '../kernels/dense/gemm.ts';
import { prepareRmsNorm, type RmsNorm } from '../kernels/dense/rms-norm.ts';
import { prepareGatherRows, type GatherRows } from '../kernels/routing/rows.ts';
import type { Layout } from '../layout/layout.ts';
import type { WeightSource } from '../model/config.ts';
import type { WeightDtypes } from '../model/stored-weights.ts';
import { headWords, vocabularyOf } from '../memory/arrays.ts';
import { endShards } from './shards.ts';
import type { RankSizes } from '../memory/rank-sizes.ts';
import { logitRows } from './step/plan.ts';
import type { StageStep } from './layer/context.ts';
import type { WeightStore } from './weight-store.ts';
import type { StageWorkspace } from './stage-workspace.ts';

/** Where one rank's logits lie in the step's read-back buffer. */
export interface LogitsBlock {
  readonly group: number;
  readonly tp: number;
  /** Words from the start of the read-back buffer; [rows, columns of this TP member]. */
  readonly offset: number;
  readonly words: number;
}

interface Head {
  readonly weights: GpuBuffer;
  /** For one row, and for more. */
  readonly one: Gemm;
  readonly more: Gemm;
  readonly columns: number;
}

interface HeadScratch {
  readonly rows: GpuBuffer;
  readonly normed: GpuBuffer;
  readonly logits: GpuBuffer;
}

export class PipelineEnds {
  readonly #z: RankSizes;
  readonly #embedding: GpuBuffer;
  readonly #finalNorm: GpuBuffer;
  readonly #heads: readonly Head[];
  readonly #scratch: readonly HeadScratch[];
  readonly #embed: GatherRows;
  readonly #pick: GatherRows;
  readonly #norm: RmsNorm;

  private constructor(
    z: RankSizes,
    parts: {
      embedding: GpuBuffer;
      finalNorm: GpuBuffer;
      heads: readonly Head[];
      scratch: readonly HeadScratch[];
    },
    kernels: { embed: GatherRows; pick: GatherRows; norm: RmsNorm },
  ) {
    this.#z = z;
    this.#embedding = parts.embedding;
    this.#finalNorm = parts.finalNorm;
    this.#heads = parts.heads;
    this.#scratch = parts.scratch;
    this.#embed = kernels.embed;
    this.#pick = kernels.pick;
    this.#norm = kernels.norm;
  }

  static async create(
    gpu: Gpu,
    layout: Layout,
    z: RankSizes,
    source: WeightSource,
    dtypes: WeightDtypes,
    store: WeightStore,
  ): Promise<PipelineEnds> {
    const { model, spec } = layout;
    const shards = endShards(source, layout, dtypes);
    const prepareHead = async (tp: number): Promise<Omit<Head, 'weights'>> => {
      const columns = vocabularyOf(layout, tp).count;
      const shape = { numCols: columns, depth: z.modelDim, weightDtype: dtypes.head };
      const [one, more] = await Promise.all([
        prepareGemm(gpu, { ...shape, numRows: 1 }),
        prepareGemm(gpu, { ...shape, numRows: 8 }),
      ]);
      return { one, more, columns };
    };
    // Kernels first: nothing is held while they may be refused, or called off.
    const [prepared, embed, pick, norm] = await Promise.all([
      Promise.all(range(spec.tp).map(prepareHead)),
      prepareGatherRows(gpu, { width: z.modelDim, dtype: dtypes.embedding }),
      prepareGatherRows(gpu, { width: z.modelDim, dtype: 'f32' }),
      prepareRmsNorm(gpu, { width: z.modelDim, eps: model.rmsEps, residual: false }),
    ]);
    const heads: Head[] = [];
    for (const [tp, head] of prepared.entries()) {
      heads.push({ ...head, weights: await store.get(shards.lmHead(tp)) });
    }
    const embedding = await store.get(shards.embedding);
    const finalNorm = await store.get(shards.finalNorm);
    const words = headWords(layout, z);
    const scratch = range(z.numRanks).map((rank) => ({
      rows: gpu.buffer(`workspace/head/r${rank}/rows`, 4 * words.rows),
      normed: gpu.buffer(`workspace/head/r${rank}/normed`, 4 * words.normed),
      logits: gpu.buffer(`workspace/head/r${rank}/logits`, 4 * words.logits),
    }));
    return new PipelineEnds(z, { embedding, finalNorm, heads, scratch }, { embed, pick, norm });
  }

  /** Token ids -> x of the first stage, on every member of a TP group. */
  recordEmbedding(commands: CommandList, first: StageWorkspace, { loads, tables }: StageStep): void {
    loads.forEach(({ group, numTokens }, rank) => {
      this.#embed.record(
        commands,
        { numRows: numTokens, numSource: this.#z.vocabSize },
        { x: this.#embedding, index: tables.ids.part(group), y: first.symmetric('x').part(rank) },
      );
    });
  }

  /** x of the last stage -> logits of the wanted rows, every TP member its part of the vocabulary. */
  recordLogits(commands: CommandList, last: StageWorkspace, step: StageStep, which: 'last' | 'all'): void {
    step.loads.forEach(({ group, tp, numTokens }, rank) => {
      const numRows = logitRows(at(step.batch, group), which).length;
      if (numRows === 0) return;
      const own = at(this.#scratch, rank);
      const head = at(this.#heads, tp);
      const index = step.tables.rows.part(group);
      this.#pick.record(
        commands,
        { numRows, numSource: numTokens },
        { x: last.symmetric('x').part(rank), index, y: own.rows },
      );
      this.#norm.record(
        commands,
        { numRows },
        { x: own.rows, weight: this.#finalNorm, y: own.normed, sum: own.logits },
      );
      const gemm = numRows === 1 ? head.one : head.more;
      gemm.record(commands, numRows, { a: own.normed, b: head.weights, c: own.logits });
    });
  }

  /** The blocks of one micro-batch from `offset` on: rank by rank. */
  logitsBlocks(step: StageStep, which: 'last' | 'all', offset: number): LogitsBlock[] {
    let next = offset;
    return step.loads.map(({ group, tp }) => {
      const rows = logitRows(at(step.batch, group), which).length;
      const words = rows * at(this.#heads, tp).columns;
      next += words;
      return { group, tp, offset: next - words, words };
    });
  }

  /** Copies the blocks into the read-back buffer. */
  recordCopy(commands: CommandList, blocks: readonly LogitsBlock[], target: GpuBuffer): void {
    blocks.forEach(({ words, offset }, rank) => {
      if (words > 0) commands.copy(at(this.#scratch, rank).logits, target.view(4 * offset), 4 * words);
    });
  }

  destroy(): void {
    for (const { rows, normed, logits } of this.#scratch) [rows, normed, logits].forEach((b) => b.destroy());
  }
}
