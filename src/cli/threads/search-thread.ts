/** A thread of `moebius search`: it simulates one layout after the other. */
import { parentPort, workerData } from 'node:worker_threads';
import { evaluate, type Outcome, type SearchSetting } from '../../planner/search/evaluate.ts';
import type { Placement } from '../../planner/serving/placement.ts';
import type { Ask, Told } from '../../platform/node/threads.ts';

const { setting } = workerData as { readonly setting: SearchSetting };

parentPort?.on('message', ({ index, task }: Ask<Placement>) => {
  parentPort?.postMessage({ index, result: evaluate(task, setting) } satisfies Told<Outcome>);
});
