/** An engine's capacity and bias: its account is that of the host's reference for the experts that it chose. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { at, range, sum } from '../../src/core/math.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { admit } from '../../src/routing/admit.ts';
import type { AdmissionRule } from '../../src/routing/device-tables.ts';
import { maxOverMean } from '../../src/routing/load.ts';
import { contiguousPlacement } from '../../src/routing/placement.ts';
import { createEngine, type StepResult } from '../../src/runtime/engine.ts';
import { testPlatform } from '../setup/gpu.ts';
import { model, weights } from './small-model.ts';

let gpu: Gpu;
beforeAll(async () => void (gpu = await openGpu(testPlatform())));
afterAll(() => {
  expect(gpu.ledger.bytes, 'all buffers are returned').toBe(0);
  gpu.destroy();
});

const layout = planLayout({ ep: 2, pp: 1, tp: 1, dp: 1 }, model);
const sizing = { layout, weights, maxSequences: 3, maxLength: 40 };
const requests = range(3).map((sequence) => ({
  sequence,
  ids: range(40 - 3 * sequence).map((i) => (7 * i * i + 5 * sequence) % 29),
}));

/** The choices of each rank in one layer: even sequences are those of the first. */
function sourcesOf({ experts = [] }: StepResult, layer: number): number[][] {
  return [0, 1].map((rank) => experts.flatMap((own, s) => (s % 2 === rank ? [...at(own, layer)] : [])));
}

test('rows that are kept and dropped are those of the reference', async () => {
  const rule = { convention: 'megatron', factor: 0.75, scope: 'rank' } as const;
  const capacity: AdmissionRule = { policy: 'drop-position', rule };
  const engine = await createEngine(gpu, { ...sizing, capacity });
  try {
    expect(engine.memory.predictedBytes).toBe(engine.memory.liveBytes);
    const step = await engine.forward(requests, { experts: true });
    const wanted = range(model.numLayers).map((layer) => {
      const choices = sourcesOf(step, layer).map((ids_TK) => ({
        ...{ numExperts: 6, topK: 2, ids_TK, scores_TK: ids_TK.map(() => 0.5) },
      }));
      return admit(choices, contiguousPlacement(6, 2), { policy: 'drop-position', capacity: rule }).rows;
    });
    const account = await engine.routing();
    expect(account?.rows).toEqual({
      offered: sum(wanted.map(({ offered }) => offered)),
      kept: sum(wanted.map(({ kept }) => kept)),
      dropped: sum(wanted.map(({ dropped }) => dropped)),
      moved: 0,
    });
    expect(account?.rows.dropped).toBeGreaterThan(0);
    expect(account?.mass.lost).toBeGreaterThan(0);
    expect(account?.mass.lost).toBeLessThan(account?.mass.offered ?? 0);
    expect(step.hostSyncsInLayers).toBe(0);
  } finally {
    engine.destroy();
  }
});

test('the account has its turn among steps that are not awaited, and none when the engine is destroyed', async () => {
  const rule = { convention: 'megatron', factor: 0.75, scope: 'rank' } as const;
  const engine = await createEngine(gpu, { ...sizing, capacity: { policy: 'drop-position', rule } });
  const first = engine.forward(requests);
  const between = engine.routing();
  await first;
  const rows = (await between)?.rows.offered ?? 0;
  expect(rows).toBeGreaterThan(0);
  engine.destroy();
  await expect(engine.routing()).rejects.toThrow('The engine was destroyed. Create another one.');
});

test('a bias that follows the load evens it out, and the same bits come every time', async () => {
  const loadOf = (step: StepResult): number =>
    maxOverMean(
      range(6).map(
        (e) =>
          sourcesOf(step, 0)
            .flat()
            .filter((id) => id === e).length,
      ),
    );
  const run = async (): Promise<StepResult[]> => {
    const engine = await createEngine(gpu, { ...sizing, balancer: { rate: 0.01 } });
    try {
      const steps: StepResult[] = [];
      for (const i of range(24)) {
        engine.reset();
        const step = await engine.forward(requests, { experts: i === 0 || i === 23 });
        steps.push(step);
      }
      return steps;
    } finally {
      engine.destroy();
    }
  };
  const steps = await run();
  expect(loadOf(at(steps, 23))).toBeLessThan(0.9 * loadOf(at(steps, 0)));
  expect((await run()).map(({ logits }) => logits)).toEqual(steps.map(({ logits }) => logits));
});

test('what an engine cannot have is told', async () => {
  const making = (own: object) => createEngine(gpu, { ...sizing, ...own });
  const rule = { convention: 'megatron', factor: 1, scope: 'rank' };
  await expect(making({ capacity: { policy: 'carry', rule } })).rejects.toThrow(/cannot wait/);
  await expect(making({ capacity: { policy: 'spill' } })).rejects.toThrow(/needs a capacity/);
  await expect(making({ capacity: { policy: 'spill', rule: { ...rule, factor: 0 } } })).rejects.toThrow(
    /forbids zero/,
  );
  await expect(making({ balancer: { rate: -1 } })).rejects.toThrow(/rate of the bias/);
  await expect(making({ placement: contiguousPlacement(6, 3) })).rejects.toThrow(/on 3 ranks/);
});
