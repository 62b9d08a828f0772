/** Chromium in compatibility mode: an adapter without a name, timestamps, subgroups and f16 is used, and not judged. */
import { expect, test } from 'vitest';
import { examineAdapter } from '../../src/bench/examine.ts';
import { resultOf } from '../../src/bench/assemble.ts';
import { openGpu } from '../../src/gpu/gpu.ts';
import { CARD_LAYOUT } from '../../src/layout/spec.ts';
import { chooseClock } from '../../src/measure/stopwatch.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { testPlatform } from '../setup/gpu.ts';

test("its kind is unknown, its kernels are those of a CPU, its clock the host's, and it gets no verdict", async () => {
  const gpu = await openGpu(testPlatform());
  try {
    expect(gpu.facts).toMatchObject({ kind: 'unknown' });
    expect(gpu.facts.search.at(-1)).toMatch(/compatibility/);
    expect(gpu.kernelsFor).toBe('software');
    for (const feature of ['timestamp-query', 'subgroups', 'shader-f16'] as const)
      expect(gpu.has(feature), feature).toBe(false);
    const clock = await chooseClock(gpu);
    expect(clock).toMatchObject({ clock: 'host', note: expect.stringContaining('no timestamps') as string });
    const result = resultOf(gpu, {
      ...{
        quick: true,
        layout: CARD_LAYOUT,
        model: await loadCheckpoint('bench/models/tiny-moe', (path) => testPlatform().readFile(path)),
        versions: {},
        commit: null,
      },
      ...{ cold: null, tuning: null, startNs: gpu.now(), cpuBefore: undefined },
      ...{ adapter: await examineAdapter(gpu), clock },
    });
    const target = result.verdict.judgements.find(({ what }) => what === 'target');
    expect(target).toMatchObject({ state: 'open', text: 'not judged: the adapter does not say what it is' });
    expect(gpu.ledger.count).toBe(0);
  } finally {
    gpu.destroy();
  }
});
