/** A routed layer on the device beside the host: choices and values in float64, slots in integers. */
import { recordAll } from '../../collectives/segments.ts';
import { CheckError } from '../../core/errors.ts';
import { at, maxOf, range, sum } from '../../core/math.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { storedWeight } from '../../model/stored-weights.ts';
import { nameOf } from '../../model/weights/parts.ts';
import { addRowsOf } from '../../reference/moe.ts';
import { rmsNorm } from '../../reference/norm.ts';
import { admit } from '../../routing/admit.ts';
import type { Choices } from '../../routing/choices.ts';
import { deviceSlot } from '../../routing/device-tables.ts';
import { DROPPED } from '../../routing/dispatch-plan.ts';
import { mostSlotsOfRank } from '../../routing/placement.ts';
import { dequantise } from '../../tensor/quantised.ts';
import { toF64 } from '../../tensor/tensor.ts';
import { type OpenLayer, type RankChoices, runLayer } from './open-layer.ts';

export interface LayerCheck {
  /** Tokens with the experts of float64, of those whose choice is no near tie. */
  readonly choices: { readonly equal: number; readonly compared: number };
  /** (token, k) pairs in the slot that the host's integers say: all of them, or the check fails. */
  readonly slots: number;
  readonly dropped: number;
  /** Largest difference of some tokens' outputs from float64, as a share of the largest; what is allowed. */
  readonly values: { readonly tokens: number; readonly error: number; readonly limit: number };
}

/** Logits that are nearer to each other may change places: the norm before them is in f32. A guess. */
const NEAR_TIE = 1e-4;
/** A guess: sums of some thousand products in f32 are off by 1e-6. */
const LIMIT = 1e-4;
/** A token takes float64 some 10 ms at the `card` shapes. */
const SOME_TOKENS = 4;

/** @throws CheckError with what is wrong. */
export async function checkLayer(gpu: Gpu, layer: OpenLayer): Promise<LayerCheck> {
  layer.restore();
  const commands = gpu.commands('router');
  recordAll(commands, [layer.half.router]);
  commands.submit().discard();
  const chosen = await layer.choices();
  const choices = checkChoices(layer, chosen);
  runLayer(gpu, layer);
  const after = await layer.choices();
  const slots = checkSlots(layer, chosen, after);
  const error = await valuesError(layer, after);
  if (!(error <= LIMIT)) {
    throw new CheckError(`the layer's output is off by ${error.toExponential(1)} of the largest value`);
  }
  const dropped = sum(after.map((own) => own.slots.filter((slot) => slot === DROPPED).length));
  return { choices, slots, dropped, values: { tokens: SOME_TOKENS, error, limit: LIMIT } };
}

/** Scores grow with logits, and the bias is 0: the largest logits are chosen. */
function checkChoices({ logits, plan }: OpenLayer, chosen: readonly RankChoices[]): LayerCheck['choices'] {
  const { topK, numExperts } = plan.layout.model;
  const ids = chosen.flatMap((own) => [...own.ids]);
  let [equal, compared] = [0, 0];
  logits.forEach((row, token) => {
    const order = range(numExperts).sort((a, b) => at(row, b) - at(row, a) || a - b);
    const gap = topK === numExperts ? Infinity : at(row, at(order, topK - 1)) - at(row, at(order, topK));
    if (gap <= NEAR_TIE) return;
    compared += 1;
    const own = ids.slice(token * topK, (token + 1) * topK).sort((a, b) => a - b);
    const want = order.slice(0, topK).sort((a, b) => a - b);
    if (own.join() === want.join()) equal += 1;
  });
  if (equal < compared) {
    throw new CheckError(`${compared - equal} of ${compared} tokens have other experts than in float64`);
  }
  return { equal, compared };
}

function checkSlots(
  { plan, logits }: OpenLayer,
  before: readonly RankChoices[],
  after: readonly RankChoices[],
): number {
  const { layout, admission } = plan;
  const { placement, model } = layout;
  const { topK, numExperts } = model;
  let first = 0;
  const sources = before.map(({ ids, scores }): Choices => {
    const tokens = ids.length / topK;
    const all_TE = logits.slice(first, first + tokens).flatMap((row) => Array.from(row, Math.exp));
    first += tokens;
    return { numExperts, topK, ids_TK: ids, scores_TK: scores, all_TE };
  });
  const { policy = 'dropless', rule, deal } = admission ?? {};
  const wanted = admit(sources, placement, { policy, capacity: rule, deal });
  const numSlots = placement.numRanks * mostSlotsOfRank(placement);
  const onDevice = range(placement.numSlots).map((slot) => deviceSlot(placement, slot));
  after.forEach(({ slots }, rank) => {
    const want = at(wanted.slots_TK, rank);
    const wrong = slots.findIndex((slot, i) => {
      const own = at(want, i);
      return slot !== (own === DROPPED ? DROPPED : at(onDevice, own));
    });
    if (wrong < 0) return;
    throw new CheckError(
      `choice ${wrong} of rank ${rank} lies in slot ${slots[wrong]} of ${numSlots}, and the host says ${want[wrong]}`,
    );
  });
  return sum(after.map(({ slots }) => slots.length));
}

async function valuesError(layer: OpenLayer, after: readonly RankChoices[]): Promise<number> {
  const { plan, weights } = layer;
  const { layout, dtypes } = plan;
  const { placement, model } = layout;
  const { modelDim, expertDim, topK, activation, rmsEps: eps } = model;
  const outputs = await layer.outputs();
  const numTokens = outputs.length / modelDim;
  const tokens = range(Math.min(SOME_TOKENS, numTokens)).map(
    (i) => Math.floor(((i + 0.5) * numTokens) / SOME_TOKENS) % numTokens,
  );
  const rowsOf = (all: ArrayLike<number>, width: number): number[] =>
    tokens.flatMap((token) => range(width).map((i) => at(all, token * width + i)));
  const residual_TD = Float64Array.from(rowsOf(layer.inputs(), modelDim));
  const ones = new Float64Array(modelDim).fill(1);
  const { y_TD: x_TD } = rmsNorm({ x_TD: residual_TD, weight_D: ones, eps });
  const expertOf = new Map(
    range(placement.numSlots).map((slot) => [deviceSlot(placement, slot), at(placement.expertOfSlot, slot)]),
  );
  const slots = rowsOf(
    after.flatMap((own) => [...own.slots]),
    topK,
  );
  const ids_TK = Int32Array.from(slots, (slot) => expertOf.get(slot) ?? -1);
  const scores_TK = Float64Array.from(
    rowsOf(
      after.flatMap((own) => [...own.scores]),
      topK,
    ),
  );
  const y_TD = Float64Array.from(residual_TD);
  for (const expert of new Set(ids_TK)) {
    if (expert < 0) continue;
    const matrix = (part: 'w1' | 'w2' | 'w3'): Float64Array => {
      const stored = storedWeight(weights, nameOf(part, 0, expert), dtypes);
      return toF64('format' in stored ? dequantise(stored) : stored);
    };
    const own = { numExperts: 1, modelDim, expertDim, activation };
    const stacks = { w1_EFD: matrix('w1'), w3_EFD: matrix('w3'), w2_EDF: matrix('w2') };
    for (const piece of addRowsOf(expert, { ...own, ...stacks }, { ids_TK, scores_TK }, x_TD, y_TD))
      void piece;
  }
  const got = rowsOf(outputs, modelDim);
  const largest = maxOf(Array.from(y_TD, Math.abs), 0);
  const errors = got.map((value, i) => Math.abs(value - at(y_TD, i)));
  return errors.every((error) => error >= 0) ? maxOf(errors, 0) / largest : Infinity;
}
