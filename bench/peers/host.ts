/** All sides in one process: this project's device, TensorFlow.js beside it, and ONNX Runtime with a Dawn of its own. */
import { openGpu } from '../../src/gpu/gpu.ts';
import { quietly } from '../../src/cli/quiet.ts';
import { platformHere } from '../../src/cli/session.ts';
import { OrtRuntime } from './ort.ts';
import type { Host } from './row.ts';
import { openTfjs } from './tfjs.ts';

export async function openHost(adapter: string): Promise<{ host: Host; adapters: string[] }> {
  return quietly(async () => {
    const platform = platformHere();
    const gpu = await openGpu(platform, adapter);
    const opened = await platform.openAdapter(adapter);
    const tf = await openTfjs(opened);
    const ort = new OrtRuntime();
    await ort.finish();
    const { name, driver } = opened.facts;
    return {
      host: { gpu, ort, tf },
      adapters: [`moebius and TensorFlow.js: ${name}, ${driver}`],
    };
  });
}
