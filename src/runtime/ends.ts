/** The two ends of the pipeline: token embedding on the first stage, logits on the last. */
import { ofRanks } from '../collectives/segments.ts';
import type { CommandList } from '../gpu/command-list.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import { at, range } from '../core/math.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { prepareGemm, type Gemm } from '../kernels/dense/gemm.ts';
import { prepareRmsNorm, type RmsNorm } from '../kernels/dense/rms-norm.ts';
import { prepareSized, type Sized, sizedFor } from '../kernels/sized.ts';
import { prepareGatherRows, type GatherRows } from '../kernels/routing/rows.ts';
import type { Run } from '../layout/layout.ts';
import type { WeightSource } from '../model/config.ts';
import { headWords } from '../memory/arrays.ts';
import type { EnginePlan } from '../memory/engine-plan.ts';
import { endShards } from './shards.ts';
import {
  eachPlace,
  eachProduct,
  type PlacedRows,
  placeRows,
  type RowPlace,
  rowsPerOffset,
} from './step/row-places.ts';
import { logitRows, type MicroBatch, type RankLoad } from './step/plan.ts';
import type { StageStep } from './layer/context.ts';
import type { WeightStore } from './weight-store.ts';
import type { StageWorkspace } from './stage-workspace.ts';

/** Where one rank's logits of a piece of the vocabulary lie in the step's read-back buffer. */
export interface LogitsBlock {
  readonly group: number;
  readonly rank: number;
  readonly piece: number;
  readonly columns: Run;
  /** Where they are computed. */
  readonly place: RowPlace;
  /** Words from the start of the read-back buffer; [rows, columns]. */
  readonly offset: number;
  readonly words: number;
}

/** Columns of the logits that one binding holds. */
interface Head {
  readonly weights: GpuBuffer;
  readonly products: Sized<Gemm>;
  readonly columns: Run;
}

/** Rows of the vocabulary that one binding holds. */
interface Embedding {
  readonly weights: GpuBuffer;
  readonly rows: Run;
  readonly gather: GatherRows;
}

interface HeadScratch {
  readonly rows: GpuBuffer;
  readonly normed: GpuBuffer;
  /** Piece by piece. */
  readonly logits: readonly GpuBuffer[];
}

export class PipelineEnds {
  readonly #embeddings: readonly Embedding[];
  readonly #finalNorm: GpuBuffer;
  /** Of each TP member. */
  readonly #heads: readonly (readonly Head[])[];
  readonly #scratch: readonly HeadScratch[];
  readonly #pick: GatherRows;
  readonly #norm: RmsNorm;
  readonly #width: number;
  /** Rows that one rank's scratch holds. */
  readonly #room: number;
  /** Rows of the scratch from one place to the next at which a binding may begin. */
  readonly #stepRows: number;

  private constructor(
    parts: {
      embeddings: readonly Embedding[];
      finalNorm: GpuBuffer;
      heads: readonly (readonly Head[])[];
      scratch: readonly HeadScratch[];
    },
    kernels: { pick: GatherRows; norm: RmsNorm },
    sizes: { width: number; room: number; stepRows: number },
  ) {
    this.#embeddings = parts.embeddings;
    this.#finalNorm = parts.finalNorm;
    this.#heads = parts.heads;
    this.#scratch = parts.scratch;
    this.#pick = kernels.pick;
    this.#norm = kernels.norm;
    this.#width = sizes.width;
    this.#room = sizes.room;
    this.#stepRows = sizes.stepRows;
  }

  static async create(
    gpu: Gpu,
    plan: EnginePlan,
    source: WeightSource,
    store: WeightStore,
  ): Promise<PipelineEnds> {
    const { layout, sizes: z, dtypes, vocabulary } = plan;
    const shards = endShards(source, plan);
    const prepareHead = async (columns: Run, wide = false): Promise<Omit<Head, 'weights'>> => {
      const shape = { numCols: columns.count, depth: z.modelDim, weightDtype: dtypes.head, wide };
      return { products: await prepareSized((numRows) => prepareGemm(gpu, { ...shape, numRows })), columns };
    };
    // Kernels first: nothing is held while they may be refused, or called off.
    const width = z.modelDim;
    const [prepared, gathers, pick, norm] = await Promise.all([
      Promise.all(vocabulary.head.map((pieces) => Promise.all(pieces.map((piece) => prepareHead(piece))))),
      Promise.all(
        // The first writes NaN for what is no token.
        vocabulary.embedding.map((_, i) =>
          prepareGatherRows(gpu, { width, dtype: dtypes.embedding, part: i > 0 }),
        ),
      ),
      prepareGatherRows(gpu, { width, dtype: 'f32' }),
      prepareRmsNorm(gpu, { width, eps: layout.model.rmsEps, residual: false }),
    ]);
    const heads: Head[][] = [];
    for (const [tp, pieces] of prepared.entries()) {
      const own: Head[] = [];
      for (const [i, head] of pieces.entries()) {
        own.push({ ...head, weights: await store.get(at(at(shards.lmHead, tp), i)) });
      }
      heads.push(own);
    }
    if (store.wideKinds().has('head')) {
      for (const own of heads) {
        for (const [i, { columns, weights }] of own.entries()) {
          own[i] = { ...(await prepareHead(columns, true)), weights };
        }
      }
    }
    const embeddings: Embedding[] = [];
    for (const [i, gather] of gathers.entries()) {
      const weights = await store.get(at(shards.embedding, i));
      embeddings.push({ weights, gather, rows: at(vocabulary.embedding, i) });
    }
    const finalNorm = await store.get(shards.finalNorm);
    const words = headWords(z, at(vocabulary.head, 0));
    const scratch = range(z.numRanks).map((rank) => ({
      rows: gpu.buffer(`workspace/head/r${rank}/rows`, 4 * words.rows),
      normed: gpu.buffer(`workspace/head/r${rank}/normed`, 4 * words.normed),
      logits: words.logits.map((size) => gpu.buffer(`workspace/head/r${rank}/logits`, 4 * size)),
    }));
    const stepRows = rowsPerOffset([4 * width], gpu.limits.minStorageBufferOffsetAlignment);
    const rooms = { width, room: z.maxTokens, stepRows };
    return new PipelineEnds({ embeddings, finalNorm, heads, scratch }, { pick, norm }, rooms);
  }

  /** Token ids -> x of the first stage, on every member of a TP group. */
  recordEmbedding(commands: CommandList, first: StageWorkspace, { loads, tables }: StageStep): void {
    loads.forEach(({ group, numTokens }, rank) => {
      ofRanks(commands, rank);
      const [index, y] = [tables.ids.part(group), first.symmetric('x').part(rank)];
      for (const { weights, rows, gather } of this.#embeddings) {
        const p = { numRows: numTokens, numSource: rows.count, firstRow: rows.first };
        gather.record(commands, p, { x: weights, index, y });
      }
    });
  }

  /** x of the last stage -> logits of the wanted rows, every TP member its part of the vocabulary. */
  recordLogits(commands: CommandList, last: StageWorkspace, step: StageStep): void {
    eachPlace(commands, step.logits, (rank, { holder, firstRow, numRows }) => {
      const { group, numTokens } = at(step.loads, rank);
      this.#pick.record(
        commands,
        { numRows, numSource: numTokens },
        {
          x: last.symmetric('x').part(rank),
          index: step.tables.rows.part(group),
          y: at(this.#scratch, holder).rows.view(4 * firstRow * this.#width),
        },
      );
    });
    eachProduct(commands, step.logits, ({ holder, numRows }) => {
      const { rows, normed, logits } = at(this.#scratch, holder);
      this.#norm.record(
        commands,
        { numRows },
        { x: rows, weight: this.#finalNorm, y: normed, sum: at(logits, 0) },
      );
      for (const [i, { products, weights }] of at(this.#heads, at(step.loads, holder).tp).entries()) {
        sizedFor(products, numRows).record(commands, numRows, { a: normed, b: weights, c: at(logits, i) });
      }
    });
  }

  /** Where the rows lie of which logits are wanted. @param apart see `StepOptions`. */
  place(loads: readonly RankLoad[], batch: MicroBatch, which: 'last' | 'all', apart: boolean): PlacedRows {
    const wanted = loads.map(({ group, tp }) => ({ tp, numRows: logitRows(at(batch, group), which).length }));
    return placeRows(wanted, this.#room, this.#stepRows, apart);
  }

  /** The blocks of one micro-batch from `offset` on: rank by rank, piece by piece. */
  logitsBlocks({ loads, logits }: StageStep, offset: number): LogitsBlock[] {
    let next = offset;
    return loads.flatMap(({ group, tp }, rank) => {
      const place = at(logits.places, rank);
      return at(this.#heads, tp).map(({ columns }, piece) => {
        const words = place.numRows * columns.count;
        next += words;
        return { group, rank, piece, columns, place, offset: next - words, words };
      });
    });
  }

  /** Copies the blocks into the read-back buffer. */
  recordCopy(commands: CommandList, blocks: readonly LogitsBlock[], target: GpuBuffer): void {
    for (const { place, piece, columns, words, offset } of blocks) {
      if (words === 0) continue;
      const from = at(at(this.#scratch, place.holder).logits, piece);
      commands.copy(from.view(4 * place.firstRow * columns.count), target.view(4 * offset), 4 * words);
    }
  }

  destroy(): void {
    for (const { rows, normed, logits } of this.#scratch) {
      for (const buffer of [rows, normed, ...logits]) buffer.destroy();
    }
  }
}
