/** This project, by its ops: the same calls as `moebius op`, with everything uploaded and compiled beforehand. */
import type { Gpu } from '../../../src/gpu/gpu.ts';
import type { AttrValue } from '../../../src/ops/op.ts';
import { inputsOf, opByName } from '../../../src/ops/ops.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { toF64 } from '../../../src/tensor/tensor.ts';
import type { Contestant } from './contestant.ts';

export interface OpJob {
  readonly op: string;
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly attrs?: Readonly<Record<string, AttrValue>>;
  readonly variant?: string;
}

export async function enterMoebius(gpu: Gpu, job: OpJob): Promise<Contestant> {
  const op = opByName(job.op);
  const prepared = await op.prepare(gpu, inputsOf(op, job.tensors, job.attrs), job.variant);
  const counted = gpu.commands('count');
  prepared.record(counted);
  counted.submit();
  return {
    notes: [`variant ${prepared.variant}`],
    dispatches: counted.dispatches,
    run: () => {
      const commands = gpu.commands(`peers/${job.op}`);
      prepared.record(commands);
      commands.submit();
    },
    finish: () => gpu.sync(),
    outputs: async () => {
      const outputs = await prepared.read();
      return new Map([...outputs].map(([name, tensor]) => [name, toF64(tensor)]));
    },
    gpuTime: async () => {
      const commands = gpu.commands('peers', 'span');
      commands.span(job.op);
      prepared.record(commands);
      const spans = await commands.submit().spans();
      const times = spans.map(({ ns }) => ns).filter((ns) => ns !== undefined);
      return times.length === 0 || times.length < spans.length ? undefined : times.reduce((a, b) => a + b, 0);
    },
    destroy: () => prepared.destroy(),
  };
}
