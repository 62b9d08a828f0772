/** Lists of one tiny pass each, sent and awaited: between the two moments it ran, which bounds the offset of the clocks. */
import type { Gpu } from '../gpu/gpu.ts';
import { prepareAdd } from '../kernels/routing/rows.ts';
import { laterTimes } from '../runtime/step/timed-lists.ts';
import type { Bounded } from './host-offset.ts';

/** More hardly make the bounds narrower; a guess. */
const COUNT = 24;

/** Empty without timestamps. */
export async function clockAnchors(gpu: Gpu, count = COUNT): Promise<Bounded[]> {
  if (!gpu.has('timestamp-query')) return [];
  const add = await prepareAdd(gpu);
  const [a, y] = [gpu.elements('probe/anchor-in', 4), gpu.elements('probe/anchor-out', 4)];
  const anchors: Bounded[] = [];
  try {
    while (anchors.length < count) {
      const commands = gpu.commands('clock anchor', 'span');
      add.record(commands, 4, { a, b: a, y });
      const list = commands.submit();
      const { spans } = await laterTimes([list], 0).read();
      const submits = [{ submittedNs: list.submittedNs, doneNs: gpu.now(), spans: { first: 0, count: 1 } }];
      anchors.push({ spans, submits });
    }
  } finally {
    a.destroy();
    y.destroy();
  }
  return anchors;
}
