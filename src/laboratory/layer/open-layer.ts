/** A routed layer of an engine, open on a device with tokens that it may be given again and again. */
import { recordAll } from '../../collectives/segments.ts';
import { ConfigError } from '../../core/errors.ts';
import { at, balancedRun, range, sum } from '../../core/math.ts';
import type { ScoreFunction } from '../../core/gating.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { planLayout } from '../../layout/layout.ts';
import type { EnginePlan, EngineSizing } from '../../memory/engine-plan.ts';
import { planEngine } from '../../memory/engine-plan.ts';
import { requireRoom } from '../../memory/room.ts';
import type { WeightSource } from '../../model/config.ts';
import { createExpertHalf, type ExpertHalf } from '../../runtime/layer/expert-half.ts';
import { traitsOf } from '../../runtime/layer/kernels.ts';
import type { WeightDtype } from '../../tensor/quantised.ts';
import { routedConfig, routedWeights, tokensOfLogits } from './routed-model.ts';

export interface LayerSizes {
  readonly numTokens: number;
  readonly numExperts: number;
  readonly topK: number;
  readonly modelDim: number;
  readonly expertDim: number;
  readonly ranks: number;
  readonly score: ScoreFunction;
  readonly weightDtype: WeightDtype;
}

/** What one rank's tokens came to, [T, K] each. */
export interface RankChoices {
  readonly ids: Uint32Array;
  readonly scores: Float32Array;
  /** As devices number them, see `deviceSlot`. */
  readonly slots: Uint32Array;
}

export interface OpenLayer {
  readonly half: ExpertHalf;
  readonly plan: EnginePlan;
  readonly weights: WeightSource;
  /** [E] of each token, as it was given last. */
  readonly logits: readonly ArrayLike<number>[];
  /** Tokens for the runs to come, dealt to the ranks in runs that differ by one at most. */
  give(logits: readonly ArrayLike<number>[]): void;
  /** Records the residual stream as it was given. */
  load(commands: CommandList): void;
  /** Residual stream, bias and counters as before the first run. Queued, not awaited. */
  restore(): void;
  /** What the layer reads, [T, D], and what it has left. */
  inputs(): Float32Array;
  outputs(): Promise<Float32Array>;
  choices(): Promise<RankChoices[]>;
  /** The output and the slots of all ranks, as they lie. */
  bits(): Promise<Uint32Array[]>;
  destroy(): void;
}

/**
 * @param freeBytes of the device, where it is known.
 * @throws ConfigError for sizes or a routing that the layer or the adapter cannot have, before anything is made.
 */
export async function openLayer(
  gpu: Gpu,
  sizes: LayerSizes,
  routing: Pick<EngineSizing, 'placement' | 'shares' | 'capacity' | 'balancer'>,
  freeBytes?: number,
): Promise<OpenLayer> {
  const { numTokens, ranks, weightDtype } = sizes;
  if (numTokens === 0) throw new ConfigError('there are no tokens, so nothing takes time. Give --tokens.');
  const tokens = range(ranks).map((rank) => at(balancedRun(numTokens, ranks, rank), 1));
  const config = routedConfig({ ...sizes, tokens: at(tokens, 0) });
  const layout = planLayout({ ep: ranks, pp: 1, tp: 1, dp: 1 }, config, routing.placement);
  const sizing = {
    ...{ ...routing, weightDtype, maxSequences: ranks, maxLength: at(tokens, 0), microBatches: 1 },
  };
  const traits = traitsOf(gpu);
  const plan = planEngine(layout, sizing, traits);
  requireRoom(layout, sizing, traits, freeBytes);
  const weights = routedWeights(config);
  const half = await createExpertHalf(gpu, plan, weights, tokens);
  const x = half.workspace.symmetric('x');
  const { modelDim } = config;
  const kept = gpu.buffer('laboratory/x', 4 * x.stride * x.numParts);
  const choicesOf = (rank: number) => half.workspace.choices(rank);
  const wordsOf = (rank: number): number => at(half.tokens, rank) * config.topK;
  let logits: readonly ArrayLike<number>[] = [];
  let given = new Float32Array(0);
  return {
    ...{ half, plan, weights },
    get logits() {
      return logits;
    },
    give: (rows) => {
      logits = rows;
      given = tokensOfLogits(config, rows);
      let first = 0;
      for (const [rank, count] of half.tokens.entries()) {
        const own = given.subarray(first * modelDim, (first + count) * modelDim);
        if (count > 0) gpu.write(kept.view(4 * rank * x.stride, 4 * x.stride), own);
        first += count;
      }
    },
    load: (commands) => commands.copy(kept, x.buffer),
    restore: () => {
      const commands = gpu.commands('restore');
      commands.copy(kept, x.buffer);
      if (half.bias !== undefined) {
        commands.clear(half.bias.bias);
        commands.clear(half.bias.load);
      }
      if (plan.admission !== undefined) commands.clear(half.workspace.symmetric('admission').buffer);
      commands.submit().discard();
    },
    inputs: () => given,
    outputs: async () => {
      const { data } = await gpu.read(x.buffer, [x.stride * x.numParts]);
      const out = new Float32Array(sum(half.tokens) * modelDim);
      let first = 0;
      half.tokens.forEach((count, rank) => {
        const own = data.subarray(rank * x.stride, rank * x.stride + count * modelDim);
        out.set(own, first);
        first += count * modelDim;
      });
      return out;
    },
    choices: async () => {
      const found: RankChoices[] = [];
      for (const rank of range(half.sizes.numRanks)) {
        const { ids, scores, slots } = choicesOf(rank);
        const shape = [wordsOf(rank)];
        const words = async (of: typeof ids): Promise<Uint32Array> =>
          (await gpu.read(of, shape, 'u32')).data as Uint32Array;
        const weights = (await gpu.read(scores, shape)).data as Float32Array;
        found.push({ ids: await words(ids), scores: weights, slots: await words(slots) });
      }
      return found;
    },
    bits: async () => {
      const all = await gpu.read(x.buffer, [x.stride * x.numParts], 'u32');
      const slots: Uint32Array[] = [];
      for (const rank of range(half.sizes.numRanks)) {
        slots.push((await gpu.read(choicesOf(rank).slots, [wordsOf(rank)], 'u32')).data as Uint32Array);
      }
      return [all.data as Uint32Array, ...slots];
    },
    destroy: () => {
      kept.destroy();
      half.destroy();
    },
  };
}

/** Runs the whole layer once on the tokens it was given. */
export function runLayer(gpu: Gpu, layer: OpenLayer): void {
  layer.restore();
  const commands = gpu.commands('layer');
  recordAll(commands, layer.half.whole);
  commands.submit().discard();
}
