/**
 * DeepSeek-V3's bias controller where an engine has it: router, admission and update on the device, step after step of new
 * tokens, with nothing read back until the last. T tokens, E experts.
 */
import { recordAll } from '../../collectives/segments.ts';
import { CheckError, invariant } from '../../core/errors.ts';
import { at, range, sum } from '../../core/math.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { GpuBuffer } from '../../gpu/buffer.ts';
import { type BiasOptions, biasRates, type TrainedBias, trainedBias } from '../train-bias.ts';
import type { OpenLayer } from './open-layer.ts';

/** Bytes that the device may still have to copy. A guess. */
const MOST_QUEUED = 2 ** 26;

/**
 * Trains the bias of an open layer with a balancer. @param next gives the logits of one more token.
 * @throws CheckError when loads do not add up, or the bias is not what the loads make of it in f32.
 */
export async function trainBiasOnDevice(
  gpu: Gpu,
  layer: OpenLayer,
  next: () => Float64Array,
  options: BiasOptions,
): Promise<TrainedBias> {
  const { half, plan } = layer;
  const { numExperts, topK, modelDim } = plan.layout.model;
  const { bias } = half;
  invariant(bias !== undefined, () => 'the layer has no balancer');
  const ranks = half.sizes.numRanks;
  const work = half.workspace.symmetric('admission');
  const numTokens = sum(half.tokens);
  const rates = biasRates(options);
  const history: GpuBuffer = gpu.buffer('laboratory/history', 4 * rates.length * ranks * numExperts);
  try {
    let queued = 0;
    for (const [step, rate] of rates.entries()) {
      layer.give(range(numTokens).map(() => next()));
      if (step === 0) layer.restore();
      const commands = gpu.commands(`step ${step}`);
      layer.load(commands);
      recordAll(commands, [half.router, ...half.admission(rate)]);
      for (const rank of range(ranks)) {
        if (at(half.tokens, rank) === 0) continue;
        const to = history.view(4 * (step * ranks + rank) * numExperts, 4 * numExperts);
        commands.copy(work.part(rank), to, 4 * numExperts);
      }
      commands.submit().discard();
      queued += 4 * numTokens * modelDim;
      if (queued < MOST_QUEUED) continue;
      queued = 0;
      await gpu.flush();
    }
    const { data } = await gpu.read(history, [rates.length * ranks * numExperts], 'u32');
    const found = await gpu.read(bias.bias, [numExperts]);
    const loads = rates.map((_, step) =>
      range(numExperts).map((e) =>
        sum(range(ranks).map((r) => at(data, (step * ranks + r) * numExperts + e))),
      ),
    );
    const wrong = loads.findIndex((load) => sum(load) !== numTokens * topK);
    if (wrong >= 0) {
      throw new CheckError(`step ${wrong + 1} counted ${sum(at(loads, wrong))} rows of ${numTokens * topK}`);
    }
    requireBias([...(found.data as Float32Array)], loads, rates);
    return trainedBias([...(found.data as Float32Array)], loads);
  } finally {
    history.destroy();
  }
}

/** The device adds in f32: so does this. */
function requireBias(
  found: readonly number[],
  loads: readonly (readonly number[])[],
  rates: readonly number[],
): void {
  const wanted = found.map((_, e) =>
    loads.reduce((bias, load, step) => {
      const direction = Math.sign(sum(load) - at(load, e) * load.length);
      return Math.fround(bias + direction * Math.fround(at(rates, step)));
    }, 0),
  );
  const wrong = found.findIndex((value, e) => value !== at(wanted, e));
  if (wrong < 0) return;
  throw new CheckError(
    `the device's bias of expert ${wrong} is ${found[wrong]}, and its loads make it ${wanted[wrong]}`,
  );
}
