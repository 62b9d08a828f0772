/**
 * A process of its own for adapter tests: `node --import tsx --expose-gc probe-adapter.ts CHOICE...` opens each
 * choice in turn and prints a JSON array with its facts, or the message of what was thrown.
 */
import { messageOf } from '../../src/core/errors.ts';
import { BUFFER_USAGE } from '../../src/gpu/flags.ts';
import { nodePlatform } from '../../src/platform/node/node.ts';

const collect = (globalThis as { gc?: () => void }).gc;

/** Only the device stays referenced here, so the platform alone keeps what it needs. */
async function openDevice(choice: string): Promise<{ device: GPUDevice; facts: unknown }> {
  const opened = await nodePlatform().openAdapter(choice);
  return { device: await (await opened.adapter()).requestDevice(), facts: opened.facts };
}

async function probe(choice: string): Promise<unknown> {
  try {
    const { device, facts } = await openDevice(choice);
    for (let round = 0; round < 5; round++) {
      collect?.();
      const buffer = device.createBuffer({ size: 4, usage: BUFFER_USAGE.COPY_DST });
      device.queue.writeBuffer(buffer, 0, new Uint32Array([round]));
      await device.queue.onSubmittedWorkDone();
    }
    device.destroy();
    return facts;
  } catch (error) {
    return messageOf(error);
  }
}

const results: unknown[] = [];
for (const choice of process.argv.slice(2)) results.push(await probe(choice));
process.stdout.write(JSON.stringify(results));
