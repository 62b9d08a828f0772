/**
 * A process of its own: `node --import tsx probe-worker.ts (workers|main) CHOICE [share]` opens the choice in a worker
 * thread, with `main` in the main thread first, and prints a JSON array of names or messages. The thread has an environment
 * of its own, or shares that of the process.
 */
import { SHARE_ENV, Worker } from 'node:worker_threads';
import { messageOf } from '../../src/core/errors.ts';
import { nodePlatform } from '../../src/platform/node/node.ts';

const NODE = new URL('../../src/platform/node/node.ts', import.meta.url).href;
const IN_WORKER = `
const { parentPort, workerData } = require('node:worker_threads');
import('tsx/esm/api')
  .then(({ register }) => (register(), import(workerData.node)))
  .then(({ nodePlatform }) => nodePlatform().openAdapter(workerData.choice))
  .then(({ facts }) => parentPort.postMessage(facts.name), (error) => parentPort.postMessage(error.message));`;

function inWorker(choice: string, share: boolean): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const how = { eval: true, workerData: { node: NODE, choice } };
    const worker = new Worker(IN_WORKER, share ? { ...how, env: SHARE_ENV } : how);
    worker.on('message', resolve);
    worker.on('error', reject);
  });
}

async function inMain(choice: string): Promise<string> {
  try {
    return (await nodePlatform().openAdapter(choice)).facts.name;
  } catch (error) {
    return messageOf(error);
  }
}

const [first = 'main', choice = 'auto', how] = process.argv.slice(2);
const results: unknown[] = [];
if (first === 'main') results.push(await inMain(choice));
results.push(await inWorker(choice, how === 'share'));
process.stdout.write(JSON.stringify(results), () => process.exit(0));
