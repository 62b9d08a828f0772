/** What the host does around the kernels, timed by tinybench on the host's clock. */
import { Bench } from 'tinybench';
import type { Gpu } from '../gpu/gpu.ts';
import { explainLayout } from '../layout/explain.ts';
import { planLayout } from '../layout/layout.ts';
import { CARD_LAYOUT } from '../layout/spec.ts';
import { presetNamed } from '../model/presets.ts';
import { readSafetensors } from '../model/safetensors/safetensors.ts';
import { inputsOf } from '../ops/ops.ts';
import { rope } from '../ops/dense/rope.ts';
import { f32Tensor } from '../tensor/tensor.ts';
import type { Timing } from '../measure/timing.ts';

export interface HostTiming {
  readonly task: string;
  readonly timing: Timing;
}

const NS_PER_TINYBENCH_MS = 1e6;
/** Of one recording, so that its beginning and end weigh little. A guess. */
const RECORDED_DISPATCHES = 100;
/** Short tasks have very many samples. A guess. */
const MAX_KEPT = 101;

/** @param checkpoint bytes of a safetensors file. @param msPerTask time to spend on each. */
export async function timeHostTasks(
  gpu: Gpu,
  checkpoint: Uint8Array,
  msPerTask = 100,
): Promise<HostTiming[]> {
  const card = presetNamed('card').config;
  const x = f32Tensor([1, 1, 1, 2], new Float32Array(2));
  const prepared = await rope.prepare(gpu, inputsOf(rope, { x }));
  const bench = new Bench({
    time: msPerTask,
    iterations: 10,
    warmupTime: 10,
    warmupIterations: 2,
    retainSamples: true,
  });
  bench.add(`read a safetensors file of ${(checkpoint.byteLength / 1e6).toFixed(1)} MB`, () => {
    readSafetensors(checkpoint, 'bench');
  });
  bench.add('plan and explain 128 ranks', () => {
    explainLayout(planLayout(CARD_LAYOUT, card), card);
  });
  bench.add(`record and submit ${RECORDED_DISPATCHES} dispatches`, async () => {
    const start = gpu.platform.now();
    const commands = gpu.commands('host task');
    for (let i = 0; i < RECORDED_DISPATCHES; i++) prepared.record(commands);
    commands.submit();
    const ns = gpu.platform.now() - start;
    // The wait is the adapter's time, not the host's.
    await gpu.sync();
    return { overriddenDuration: ns / NS_PER_TINYBENCH_MS };
  });
  try {
    await bench.run();
  } finally {
    prepared.destroy();
  }
  return bench.tasks.map(({ name, result }) => ({ task: name, timing: timingOf(result) }));
}

function timingOf(result: Bench['tasks'][number]['result']): Timing {
  if (result.state === 'errored') return { state: 'failed', reason: result.error.message };
  if (!('latency' in result)) return { state: 'failed', reason: `the task is ${result.state}` };
  const all = result.latency.samples ?? [result.latency.p50];
  // They are sorted, so every n-th keeps the distribution.
  const stride = Math.ceil(all.length / MAX_KEPT);
  const samplesNs = all.filter((_, i) => i % stride === 0).map((ms) => ms * NS_PER_TINYBENCH_MS);
  return { state: 'measured', clock: 'host', samplesNs, repeats: 1 };
}
