/** Random shapes of every family against the float64 reference. MOEBIUS_RUNS sets the number of draws. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { opByName } from '../../src/ops/ops.ts';
import { opCases, type OpCase } from '../../src/validate/kernel-case.ts';
import { runCases } from '../../src/validate/run-case.ts';
import { testPlatform } from '../setup/gpu.ts';

const numRuns = Number((globalThis as { process?: NodeJS.Process }).process?.env['MOEBIUS_RUNS'] ?? 6);

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

const to = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });

async function holds<T>(op: string, shapes: fc.Arbitrary<T>, caseOf: (drawn: T) => OpCase): Promise<void> {
  await fc.assert(
    fc.asyncProperty(shapes, async (drawn) => {
      const results = await runCases(gpu, opCases(opByName(op), { [JSON.stringify(drawn)]: caseOf(drawn) }));
      expect(results.length).toBeGreaterThan(0);
      expect(results.filter((r) => !r.pass).map((r) => `${r.variant}: ${r.message}`)).toEqual([]);
    }),
    { numRuns },
  );
}

test('matmul', async () => {
  await holds(
    'matmul',
    fc.record({ m: to(70), n: to(70), k: to(140), half: fc.boolean() }),
    ({ m, n, k, half }) => ({
      tensors: (make) => ({
        a: make.normal([m, k]),
        b: half ? make.half(make.weight([n, k])) : make.weight([n, k]),
      }),
    }),
  );
});

test('gate-topk', async () => {
  const shapes = fc
    .record({ tokens: fc.nat(70), experts: to(130), share: fc.double({ min: 0, max: 1, noNaN: true }) })
    .map(({ share, ...s }) => ({ ...s, k: Math.max(1, Math.round(share * Math.min(16, s.experts))) }));
  await holds('gate-topk', shapes, ({ tokens, experts, k }) => ({
    attrs: { k },
    tensors: (make) => ({ logits: make.whole([tokens, experts], 40) }),
  }));
});

test('moe', async () => {
  const shapes = fc
    .record({ tokens: to(50), dim: to(40), experts: to(12), width: to(40), k: to(12) })
    .map((s) => ({ ...s, k: Math.min(s.k, s.experts) }));
  await holds('moe', shapes, ({ tokens, dim, experts, width, k }) => ({
    attrs: { k },
    tensors: (make) => ({
      x: make.normal([tokens, dim]),
      logits: make.normal([tokens, experts]),
      w1: make.weight([experts, width, dim]),
      w3: make.weight([experts, width, dim]),
      w2: make.weight([experts, dim, width]),
    }),
  }));
});

test('attention', async () => {
  const shapes = fc.record({
    batch: to(3),
    queries: to(40),
    past: fc.nat(40),
    kv: to(3),
    group: to(3),
    dim: to(24),
  });
  await holds('attention', shapes, ({ batch, queries, past, kv, group, dim }) => ({
    tensors: (make) => ({
      q: make.normal([batch, queries, kv * group, dim]),
      k: make.normal([batch, queries + past, kv, dim]),
      v: make.normal([batch, queries + past, kv, dim]),
    }),
  }));
});

test('rms-norm', async () => {
  await holds('rms-norm', fc.record({ rows: to(50), width: to(300) }), ({ rows, width }) => ({
    tensors: (make) => ({
      x: make.normal([rows, width]),
      weight: make.normal([width]),
      residual: make.normal([rows, width]),
    }),
  }));
});
