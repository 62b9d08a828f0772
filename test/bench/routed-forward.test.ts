/** A bench whose ranks route under a capacity: checked without it, timed with it, and told what was dropped. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { range } from '../../src/core/math.ts';
import { compareForward, type BenchRouting } from '../../src/bench/model/sharded.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { placementOf } from '../../src/routing/placement.ts';
import { testPlatform } from '../setup/gpu.ts';
import { model, weights } from '../routing/small-model.ts';

let gpu: Gpu;
beforeAll(async () => void (gpu = await openGpu(testPlatform())));
afterAll(() => {
  expect(gpu.ledger.bytes, 'all buffers are returned').toBe(0);
  gpu.destroy();
});

test('rows are dropped in the timed passes only', async () => {
  const placement = placementOf(
    [
      [5, 0, 1],
      [2, 3, 4],
    ],
    6,
  );
  const run = (sizing: BenchRouting['sizing']) =>
    compareForward(
      gpu,
      { ...weights, tokenizer: undefined, endIds: [] },
      {
        ...{
          layout: { ep: 2, pp: 1, tp: 1, dp: 1 },
          ids: range(60).map((i) => (7 * i * i) % model.vocabSize),
        },
        ...{ sequences: 3, tokensPerSequence: 40, budgetNs: 1, minSamples: 1, maxSamples: 1 },
        routing: { asked: { capacity: '0.75' }, sizing },
      },
    );
  const rule = { convention: 'megatron', factor: 0.75, scope: 'rank' } as const;
  const found = await run({ placement, capacity: { policy: 'drop-position', rule } });
  expect(found).toMatchObject({ pass: true, routing: { asked: { capacity: '0.75' } } });
  const { offered = 0, kept = 0, dropped = 0 } = found.routing?.rows ?? {};
  // Of the first pass and one sample.
  expect(offered).toBe(2 * 3 * 40 * model.topK * model.numLayers);
  expect(dropped).toBeGreaterThan(0);
  expect(kept + dropped).toBe(offered);
});
