/** The router's bias after a step, on the device: `updatedBias` of src/routing, from what an admission has counted. */
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import type { RankParts } from './admit.ts';

export const biasKernel = defineKernel({
  shader: 'routing/bias-update.wgsl',
  spec: { WG: 64 },
  params: { numExperts: 'u32', numRanks: 'u32', workStride: 'u32', last: 'u32', rate: 'f32' },
  buffers: { loads_S4: 'read', work: 'read', load_E: 'readwrite', bias_E: 'readwrite' },
  grid: () => [1, 1, 1],
});

/** What was counted of the ranks of a stage in one micro-batch, and what it adds to. */
export interface BiasTensors {
  /** As of an admission. */
  readonly loads: Bindable;
  readonly work: RankParts;
  /** u32 [E]: rows of the micro-batches of this step so far. */
  readonly load: Bindable;
  /** f32 [E] */
  readonly bias: Bindable;
}

export interface BiasUpdate {
  /** @param last whether the step ends: only then is the bias changed. @param rateNow in place of the one it was made with. */
  record(
    commands: CommandList,
    numRanks: number,
    last: boolean,
    tensors: BiasTensors,
    rateNow?: number,
  ): void;
}

export async function prepareBiasUpdate(gpu: Gpu, numExperts: number, rate: number): Promise<BiasUpdate> {
  const kernel = await gpu.kernel(biasKernel, { WG: gpu.rowLanes });
  return {
    record: (commands, numRanks, last, { loads, work, load, bias }, rateNow = rate) => {
      commands.dispatch(
        kernel,
        { numExperts, numRanks, workStride: work.stride, last: Number(last), rate: rateNow },
        { loads_S4: loads, work: work.buffer, load_E: load, bias_E: bias },
      );
    },
  };
}
