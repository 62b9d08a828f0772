/** All sides in one process: this project's device, TensorFlow.js beside it, and ONNX Runtime with a Dawn of its own. */
import { summarise } from '../../src/measure/statistics.ts';
import { formatNs } from '../../src/core/units.ts';
import { quietly } from '../../src/cli/process/quiet.ts';
import { platformHere } from '../../src/cli/session.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { restAlways } from '../../src/platform/node/polling.ts';
import { showOnly } from './driver.ts';
import { OrtRuntime } from './contestants/ort.ts';
import type { Host } from './row.ts';
import { openTfjs } from './contestants/tfjs.ts';

export interface OpenedHost {
  readonly host: Host;
  /** Who runs where, a line each. */
  readonly adapters: readonly string[];
}

export async function openHost(adapter: string): Promise<OpenedHost> {
  return quietly(async () => {
    const platform = platformHere();
    const gpu = await openGpu(platform, adapter);
    const { name, driver } = gpu.facts;
    // TensorFlow.js waits for a device of its own, which is to have what ours has.
    restAlways();
    const tf = await openTfjs(await platform.openAdapter(adapter));
    await showOnly(name);
    const ort = new OrtRuntime();
    // Its device is made with the first session.
    await ort.finish();
    return {
      host: { gpu, ort, tf },
      adapters: [
        `Adapter: ${name}`,
        `Driver: ${driver}`,
        'moebius and TensorFlow.js ask for it by name; it is the only one that ONNX Runtime is shown.',
        `Waiting for nothing takes ${(await waits(ort, gpu)).join(', ')}; every window holds one such wait.`,
        'Weights and inputs are where they are used before the clock starts, outputs stay there.',
        'error: the largest over the root mean square; ~ from fewer bits; WRONG beyond what formats explain.',
      ],
    };
  });
}

/** What a window holds besides its runs. */
async function waits(ort: OrtRuntime, gpu: Gpu): Promise<string[]> {
  const sides: [string, () => Promise<void>][] = [
    ['moebius', () => gpu.sync()],
    ['ONNX Runtime', () => ort.finish()],
  ];
  const texts: string[] = [];
  for (const [name, wait] of sides) {
    const samples: number[] = [];
    for (let i = 0; i < 15; i++) {
      const start = process.hrtime.bigint();
      await wait();
      samples.push(Number(process.hrtime.bigint() - start));
    }
    texts.push(`${formatNs(summarise(samples).median)} for ${name}`);
  }
  return texts;
}
