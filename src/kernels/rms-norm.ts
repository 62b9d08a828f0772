/** RMSNorm with an optional residual that is added first: y = weight * s / sqrt(mean(s^2) + eps), s = x + residual. */
import type { BufferView, GpuBuffer } from '../gpu/buffer.ts';
import type { CommandList } from '../gpu/command-list.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { spread } from './variants.ts';

type Source = GpuBuffer | BufferView;

const rmsNorm = defineKernel({
  shader: 'norm/rms-norm.wgsl',
  spec: { WG: 64, RESIDUAL: false },
  params: { numRows: 'u32', width: 'u32', residualRow: 'u32', eps: 'f32' },
  buffers: { x_TD: 'read', residual_TD: 'read', weight_D: 'read', y_TD: 'write', sum_TD: 'write' },
  grid: (_s, p) => spread(p.numRows),
});

export interface RmsNorm {
  /** `sum` receives x + residual; without a residual it is any other buffer and stays as it is. */
  record(
    commands: CommandList,
    p: { numRows: number; residualRow?: number },
    t: { x: Source; residual?: Source; weight: Source; y: Source; sum: Source },
  ): void;
}

export async function prepareRmsNorm(
  gpu: Gpu,
  shape: { width: number; eps: number; residual: boolean },
): Promise<RmsNorm> {
  const kernel = await gpu.kernel(rmsNorm, { RESIDUAL: shape.residual, WG: gpu.rowLanes });
  return {
    record: (commands, { numRows, residualRow = 0 }, { x, residual, weight, y, sum }) => {
      commands.dispatch(
        kernel,
        { numRows, width: shape.width, residualRow, eps: shape.eps },
        { x_TD: x, residual_TD: residual ?? x, weight_D: weight, y_TD: y, sum_TD: sum },
      );
    },
  };
}
