/**
 * A step through the pipeline. At clock t stage s works on micro-batch t - s, as it would with every stage on its own
 * GPUs; on one device the stages of a clock run one after the other, the last first, so that each reads what its
 * predecessor handed over a clock before.
 */
import { inTurn, local, runSegments, type Segment, within } from '../collectives/segments.ts';
import { ConfigError, invariant } from '../core/errors.ts';
import { at, maxOf, range, sum } from '../core/math.ts';
import type { BufferView, GpuBuffer } from '../gpu/buffer.ts';
import type { SubmittedList } from '../gpu/command-list.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { PipelineEnds, LogitsBlock } from './ends.ts';
import { type HiddenTrace, hiddenTrace } from './step/hidden.ts';
import { HostTimes } from './step/host-times.ts';
import { tagged, type StepSpanTime } from './step/span.ts';
import { laterTimes } from './step/timed-lists.ts';
import type { StepOptions, StepResult } from './step/step.ts';
import { collectExperts, expertTrace, type ExpertTrace } from './step/trace.ts';
import { projectedWidths } from '../memory/arrays.ts';
import { worthwhileMicroBatches } from '../memory/rank-sizes.ts';
import type { LayerSegments, Stage } from './layer/stage.ts';
import type { StageContext, StageStep } from './layer/context.ts';
import { logitRows, planStep, rankLoads, type Request } from './step/plan.ts';
import { placeRows, rowsPerOffset } from './step/row-places.ts';
import { StepTables } from './step/tables.ts';

export interface MicroBatchPolicy {
  /** Micro-batches whose tables exist. */
  readonly prepared: number;
  /** True when the caller asked for this number; otherwise small steps take fewer. */
  readonly fixed: boolean;
}

export class Pipeline {
  readonly #c: StageContext;
  readonly #stages: readonly Stage[];
  readonly #ends: PipelineEnds;
  readonly #microBatches: MicroBatchPolicy;
  readonly #tables: StepTables[];
  /** Of the rows before and behind projections. */
  readonly #rowsPerOffset: number;
  readonly #lengths = new Map<number, number>();
  #pending: Promise<void> | undefined;
  #closed = false;

  constructor(
    context: StageContext,
    stages: readonly Stage[],
    ends: PipelineEnds,
    microBatches: MicroBatchPolicy,
  ) {
    this.#c = context;
    this.#stages = stages;
    this.#ends = ends;
    this.#microBatches = microBatches;
    const rowBytes = Object.values(projectedWidths(context.sizes)).map((width) => 4 * width);
    this.#rowsPerOffset = rowsPerOffset(rowBytes, context.gpu.limits.minStorageBufferOffsetAlignment);
    this.#tables = range(microBatches.prepared).map((i) => new StepTables(context.gpu, i, context.plan));
  }

  lengthOf(sequence: number): number {
    return this.#lengths.get(sequence) ?? 0;
  }

  reset(): void {
    this.requireOpen();
    this.#lengths.clear();
  }

  /** Later steps are refused. @returns what the step under way still waits for before all of it is submitted. */
  close(): Promise<void> | undefined {
    this.#closed = true;
    return this.#pending;
  }

  /** @throws ConfigError once it was closed. */
  requireOpen(): void {
    if (this.#closed) throw new ConfigError('The engine was destroyed. Create another one.');
  }

  async forward(requests: readonly Request[], options: StepOptions): Promise<StepResult> {
    this.requireOpen();
    const { layout, sizes: z } = this.#c;
    const { logits: which = 'last', experts = false, hidden = false } = options;
    const { timing = 'none', timesLater = false, apart = false } = options;
    const gpu = this.#c.gpu.under(options.signal);
    gpu.requireUsable();
    const began = gpu.now();
    const host = new HostTimes('plan', began);
    const batches = planStep(z, requests, (s) => this.lengthOf(s), this.#wanted(requests));
    const steps = batches.map((batch, m): StageStep => {
      const loads = rankLoads(layout, z, batch);
      const tables = this.#tablesOf(m);
      tables.write(batch, loads, this.#c, which);
      const wanted = loads.map((load) => ({ tp: load.tp, numRows: load.numTokens }));
      const projections = placeRows(wanted, z.maxTokens, this.#rowsPerOffset, apart);
      const scored = this.#ends.place(loads, batch, which, apart);
      return { batch, loads, tables, projections, logits: scored, isLast: m === batches.length - 1 };
    });
    const blocks = this.#blocks(steps);
    const readBack = gpu.elements('read-back/logits', totalWords(blocks), 'f32', 'parts');
    const trace = experts ? expertTrace(gpu, layout, z, steps) : undefined;
    const rows = hidden ? hiddenTrace(gpu, layout, z, steps) : undefined;
    const lists: SubmittedList[] = [];
    try {
      const syncsBefore = gpu.hostSyncs;
      let dispatches = 0;
      const onSubmit = (list: SubmittedList, count: number): void => {
        host.begin('submit', list.submittedNs);
        host.begin('record', gpu.now());
        lists.push(list);
        dispatches += count;
      };
      host.begin('record', gpu.now());
      this.#pending = this.#run(gpu, onSubmit, steps, blocks, readBack, { trace, rows }, timing);
      if (this.#pending !== undefined) await this.#pending;
      const hostSyncsInLayers = gpu.hostSyncs - syncsBefore;
      host.begin('read-back', gpu.now());
      const words = await gpu.read(readBack, [readBack.byteLength / 4]);
      const endNs = gpu.now();
      invariant(words.data instanceof Float32Array, () => 'logits are f32');
      const chosen = trace && (await collectExperts(gpu, layout, z, steps, trace, requests));
      const streams = rows && { hidden: await rows.collect(requests) };
      const logits = this.#assemble(requests.length, steps, blocks, which, words.data);
      const later = laterTimes<StepSpanTime>(lists.splice(0), endNs);
      const times = timesLater ? { spans: [], submits: [], later } : await later.read();
      const result: StepResult = {
        logits,
        microBatches: steps.length,
        dispatches,
        hostSyncsInLayers,
        ...times,
        ...chosen,
        ...streams,
        host: host.end(endNs),
        hostNs: endNs - began,
      };
      for (const { sequence, ids } of requests)
        this.#lengths.set(sequence, this.lengthOf(sequence) + ids.length);
      return result;
    } finally {
      this.#pending = undefined;
      for (const list of lists) list.discard();
      readBack.destroy();
      trace?.destroy();
      rows?.destroy();
    }
  }

  destroy(): void {
    for (const tables of this.#tables) tables.destroy();
  }

  /** Clock by clock; a clock is one submit where nothing is to be awaited. */
  #run(
    gpu: Gpu,
    onSubmit: (list: SubmittedList, dispatches: number) => void,
    steps: readonly StageStep[],
    blocks: readonly (readonly LogitsBlock[])[],
    readBack: GpuBuffer,
    { trace, rows }: { trace: ExpertTrace | undefined; rows: HiddenTrace | undefined },
    timing: NonNullable<StepOptions['timing']>,
  ): Promise<void> | undefined {
    return inTurn(range(steps.length + this.#stages.length - 1), (clock) => {
      const segments = [...this.#stages].reverse().flatMap((stage) => {
        const m = clock - stage.index;
        const step = steps[m];
        if (step === undefined) return [];
        const onIds: StageStep['onIds'] =
          trace && ((commands, layer, rank, ids) => trace.record(commands, m, layer, rank, ids));
        const toBlocks = { blocks: at(blocks, m), readBack };
        const onSlots: StageStep['onIds'] =
          trace && ((commands, layer, rank, slots) => trace.recordSlots(commands, m, layer, rank, slots));
        const x = (rank: number): BufferView => stage.workspace.symmetric('x').part(rank);
        const own = this.#stageSegments(stage, { ...step, onIds, onSlots }, toBlocks).map((of) => {
          const { layer } = of;
          if (rows === undefined || layer === undefined) return of;
          const copy = local('hidden', (commands) => rows.record(commands, m, layer, x));
          return { ...of, segments: [...of.segments, copy] };
        });
        if (timing === 'none') return own.flatMap(({ segments }) => segments);
        const { sizes, weightDtype } = this.#c;
        const place = { sizes, weightDtype, stage: stage.index, microBatch: m, step };
        return own.flatMap(({ layer, segments }) => tagged(place, layer, segments));
      });
      return runSegments(segments, () => gpu.commands(`clock ${clock}`, timing), onSubmit);
    });
  }

  #stageSegments(
    stage: Stage,
    step: StageStep,
    { blocks, readBack }: { blocks: readonly LogitsBlock[]; readBack: GpuBuffer },
  ): (Omit<LayerSegments, 'layer'> & { readonly layer?: number })[] {
    const { workspace, index } = stage;
    const next = this.#stages[index + 1];
    const last: Segment =
      next === undefined
        ? local('logits', (commands) => {
            this.#ends.recordLogits(commands, workspace, step);
            this.#ends.recordCopy(commands, blocks, readBack);
          })
        : within('send', this.#handOver(stage, next, step));
    const first = local('embedding', (commands) => this.#ends.recordEmbedding(commands, workspace, step));
    return [...(index === 0 ? [{ segments: [first] }] : []), ...stage.layers(step), { segments: [last] }];
  }

  #handOver(from: Stage, to: Stage, { loads }: StageStep): Segment {
    const width = this.#c.sizes.modelDim;
    return this.#c.transport.sendReceive(
      loads.map(({ numTokens }, rank) => ({
        from: from.workspace.symmetric('x').part(rank),
        to: to.workspace.symmetric('x').part(rank),
        bytes: 4 * numTokens * width,
      })),
    );
  }

  /** Each micro-batch's blocks, one micro-batch after the other in the read-back buffer. */
  #blocks(steps: readonly StageStep[]): LogitsBlock[][] {
    let offset = 0;
    return steps.map((step) => {
      const blocks = this.#ends.logitsBlocks(step, offset);
      offset += totalWords([blocks]);
      return blocks;
    });
  }

  /** Joins the pieces and the TP members' parts of the vocabulary into one row per wanted token, in the order of the requests. */
  #assemble(
    numRequests: number,
    steps: readonly StageStep[],
    blocks: readonly (readonly LogitsBlock[])[],
    which: 'last' | 'all',
    words: Float32Array,
  ): Float32Array[] {
    const { sizes: z } = this.#c;
    const result: Float32Array[] = range(numRequests).map(() => new Float32Array(0));
    steps.forEach(({ batch }, m) => {
      batch.forEach((group, g) => {
        const parts = at(blocks, m).filter((b) => b.group === g);
        const rows = logitRows(group, which).length;
        const whole = new Float32Array(rows * z.vocabSize);
        for (const { columns, offset } of parts) {
          const { first, count } = columns;
          for (const row of range(rows)) {
            whole.set(
              words.subarray(offset + row * count, offset + (row + 1) * count),
              row * z.vocabSize + first,
            );
          }
        }
        let row = 0;
        for (const { request, ids } of group.sequences) {
          const count = which === 'all' ? ids.length : 1;
          result[request] = whole.slice(row * z.vocabSize, (row + count) * z.vocabSize);
          row += count;
        }
      });
    });
    return result;
  }

  #wanted(requests: readonly Request[]): number {
    const { prepared, fixed } = this.#microBatches;
    if (fixed) return prepared;
    const tokens = new Array<number>(this.#c.sizes.numGroups).fill(0);
    for (const { sequence, ids } of requests) {
      const group = sequence % tokens.length;
      tokens[group] = at(tokens, group) + ids.length;
    }
    return worthwhileMicroBatches(prepared, maxOf(tokens));
  }

  #tablesOf(index: number): StepTables {
    while (this.#tables.length <= index) {
      this.#tables.push(new StepTables(this.#c.gpu, this.#tables.length, this.#c.plan));
    }
    return at(this.#tables, index);
  }
}

function totalWords(blocks: readonly (readonly LogitsBlock[])[]): number {
  return sum(blocks.flat().map((b) => b.words));
}
