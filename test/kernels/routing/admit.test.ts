/** Slots under a capacity on the device: ids, kept slots and counts are those of the host's integer reference, exactly. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGpu, type Gpu } from '../../../src/gpu/gpu.ts';
import { seededRandom } from '../../../src/core/random.ts';
import { withBuffers } from '../../../src/ops/op-buffers.ts';
import { CAPACITY_CONVENTIONS, CAPACITY_SCOPES } from '../../../src/routing/capacity.ts';
import { DEVICE_POLICIES } from '../../../src/core/overflow.ts';
import { compare } from '../../../src/tensor/compare.ts';
import { EXACT } from '../../../src/ops/budgets.ts';
import { admission, randomBatch } from '../../../src/validate/cases/internal-admit.ts';
import { testPlatform } from '../../setup/gpu.ts';

const RUNS = Number(process.env['MOEBIUS_RUNS'] ?? 24);

let gpu: Gpu;
beforeAll(async () => void (gpu = await openGpu(testPlatform())));
afterAll(() => {
  expect(gpu.ledger.bytes, 'all buffers are returned').toBe(0);
  gpu.destroy();
});

const capacities = fc.record({
  convention: fc.constantFrom(...CAPACITY_CONVENTIONS),
  factor: fc.constantFrom(0.25, 0.5, 1, 1.25, 2, 0, -1),
  scope: fc.constantFrom(...CAPACITY_SCOPES),
});

test('random batches, placements, capacities and policies', { timeout: 600_000 }, async () => {
  const batches = fc.record({
    seed: fc.nat(1e9),
    policy: fc.constantFrom(...DEVICE_POLICIES),
    capacity: capacities.map((rule) => (rule.factor <= 0 ? { ...rule, convention: 'tutel' as const } : rule)),
    score: fc.constantFrom('softmax' as const, 'sigmoid' as const),
    numExperts: fc.integer({ min: 2, max: 12 }),
    topK: fc.integer({ min: 1, max: 4 }),
    numRanks: fc.integer({ min: 1, max: 5 }),
    replicas: fc.integer({ min: 0, max: 8 }),
    tokens: fc.integer({ min: 0, max: 24 }),
  });
  await fc.assert(
    fc.asyncProperty(batches, async ({ seed, ...sizes }) => {
      const topK = Math.min(sizes.topK, sizes.numExperts);
      const made = admission(randomBatch(seededRandom(seed), { ...sizes, topK }));
      await withBuffers(gpu, async (space) => {
        const record = await made.prepare(space);
        const commands = gpu.commands('admit');
        record(commands);
        commands.submit();
        const op = space.prepared('default', record);
        const got = await op.read();
        for (const [name, { values, shape, budget = EXACT }] of Object.entries(made.expected)) {
          const found = compare(got.get(name)?.data ?? [], values, shape, budget);
          expect(found.pass, `${name}: ${JSON.stringify(found)}`).toBe(true);
        }
        op.destroy();
        return op;
      });
    }),
    { numRuns: RUNS },
  );
});
