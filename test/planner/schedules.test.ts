/** Stages, streams and pools: each held against what can be worked out by hand, or tried in full. */
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deployed } from '../../src/cli/verbs/plan/deployment.ts';
import { writeTrace } from '../../src/cli/files/trace-file.ts';
import { project } from '../../src/cli/verbs/plan/project.ts';
import { fitPower } from '../../src/bench/model/growth.ts';
import { sum } from '../../src/core/math.ts';
import { nonNegativeFit } from '../../src/planner/own/least-squares.ts';
import { fitSteps, type KernelTime } from '../../src/planner/own/step-model.ts';
import { FRAMEWORK } from '../../src/planner/serving/framework.ts';
import type { StepCost } from '../../src/planner/serving/step-cost.ts';
import { partitionStages } from '../../src/planner/simulate/partition.ts';
import { simulate } from '../../src/planner/simulate/simulate.ts';
import { exposedUs, twoBatchSchedule, type HalfLayer } from '../../src/planner/simulate/streams.ts';
import { expectedTiles, workOfStep } from '../../src/profile/own-work.ts';
import { timelineOfSimulation } from '../../src/profile/timeline/simulated.ts';
import type { StepSpan } from '../../src/runtime/step/span.ts';

describe('stages', () => {
  test('of five layers in two and three, by hand', () => {
    // 3 1 4 | 1 5 has 8, and no cut less; 3 1 | 4 1 | 5 has 5, the dearest layer.
    expect(partitionStages([3, 1, 4, 1, 5], 2)).toEqual({ layers: [3, 2], most: 8 });
    expect(partitionStages([3, 1, 4, 1, 5], 3)).toEqual({ layers: [2, 2, 1], most: 5 });
  });

  test('of 61 equal layers in four are as long as balanced runs', () => {
    const { layers, most } = partitionStages(new Array<number>(61).fill(1), 4);
    expect([sum(layers), most, Math.max(...layers)]).toEqual([61, 16, 16]);
  });

  test('a dear head makes the last stage short', () => {
    // 6 | 1 + 4, or 5 | 2 + 4: both 6, the longer first.
    expect(partitionStages([1, 1, 1, 1, 1, 1, 1, 4], 2)).toEqual({ layers: [6, 2], most: 6 });
  });

  test('are the best of all cuts', () => {
    const cuts = (n: number, p: number): number[][] =>
      p === 1
        ? [[n]]
        : Array.from({ length: n - p + 1 }, (_, i) => i + 1).flatMap((first) =>
            cuts(n - first, p - 1).map((rest) => [first, ...rest]),
          );
    const costs = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(costs, fc.nat(), (values, seed) => {
        const p = 1 + (seed % values.length);
        const mostOf = (layers: readonly number[]): number => {
          let from = 0;
          return Math.max(...layers.map((count) => sum(values.slice(from, (from += count)))));
        };
        const { layers, most } = partitionStages(values, p);
        expect(mostOf(layers)).toBe(most);
        expect(most).toBe(Math.min(...cuts(values.length, p).map(mostOf)));
      }),
    );
  });

  test('more of them than layers are refused', () => {
    expect(() => partitionStages([1, 1], 3)).toThrow(/3 stages cannot share 2 layers.*Choose 1 to 2/);
  });

  test('of unequal cost set the pace of a pipeline', () => {
    const cost: StepCost = Object.assign(
      () => ({ attention: 0, dense: 400, experts: 0, imbalance: 0, exposed: 0, overhead: 0, total: 400 }),
      { handOver: () => 0 },
    );
    const run = (slowest: number): number | undefined =>
      simulate(
        {
          pool: {
            setting: {
              ...{ cost, framework: { ...FRAMEWORK.vllm, maxTokens: 100 }, stages: 4, slowest, groups: 1 },
              ...{ capacity: 1e9, maxSequences: 1024, promptsOnly: false },
            },
            instances: 1,
            gpus: 4,
          },
        },
        { kind: 'open', requests: [{ arrivalS: 0, input: 300, output: 1 }] },
      ).requests[0]?.firstUs;
    // Three chunks of 400 us follow each other every 100, or every 160 us.
    expect(run(1 / 4)).toBe(600);
    expect(run(0.4)).toBe(720);
  });
});

describe('two half batches on two streams', () => {
  test('one layer by hand', () => {
    // Compute: A 0-2, B 2-4, experts A 4-7, B 7-10. Rows: A 2-3, B 4-5, back A 7-8, B 10-11.
    const half = { attention: 2, dispatch: 1, experts: 3, combine: 1 };
    expect(twoBatchSchedule(half, 1).map(({ beginUs, endUs }) => [beginUs, endUs])).toEqual(
      [[0, 2], [2, 4], [2, 3], [4, 5], [4, 7], [7, 10], [7, 8], [10, 11]], // prettier-ignore
    );
    expect(exposedUs(half, 1)).toBe(1);
  });

  const us = fc.integer({ min: 0, max: 20 });
  const halves: fc.Arbitrary<HalfLayer> = fc.record({
    attention: us,
    dispatch: us,
    experts: us,
    combine: us,
  });

  test('what is exposed is the end of the whole schedule less the compute, and never more than without overlap', () => {
    fc.assert(
      fc.property(halves, fc.integer({ min: 1, max: 40 }), (half, layers) => {
        const slices = twoBatchSchedule(half, layers);
        const end = Math.max(...slices.map(({ endUs }) => endUs));
        const compute = 2 * layers * (half.attention + half.experts);
        const exposed = exposedUs(half, layers);
        expect(exposed).toBeCloseTo(end - compute, 6);
        expect(exposed).toBeLessThanOrEqual(2 * layers * (half.dispatch + half.combine) + 1e-9);
        for (const stream of ['compute', 'communication'] as const) {
          let free = 0;
          for (const one of slices.filter((slice) => slice.stream === stream)) {
            expect(one.beginUs).toBeGreaterThanOrEqual(free);
            free = one.endUs;
          }
        }
      }),
    );
  });
});

describe('prefill and decode apart', () => {
  const options = {
    ...{ model: 'mixtral-8x7b', hardware: 'h100', layout: 'ep=2,tp=2', disaggregate: 'ep=4,tp=1' },
    ...{ isl: 256, osl: 16, concurrency: 4 },
  };

  test('are six GPUs, and the timeline has both pools', async () => {
    const { report, simulation } = await deployed(options, 1000);
    expect(report.gpus).toBe(6);
    expect(report.cells.tpot_ms).toMatchObject({ tag: 'assumed' });
    expect(sum(Object.values(report.shares))).toBeCloseTo(1, 9);
    const path = join(await mkdtemp(join(tmpdir(), 'moebius-')), 'steps.json');
    await writeTrace(path, timelineOfSimulation(simulation.stretches, ['prefill', 'decode']));
    const { traceEvents } = JSON.parse(await readFile(path, 'utf8')) as {
      traceEvents: { ph: string; tid: number; ts?: number; name?: string; args?: { name?: string } }[];
    };
    const names = traceEvents.filter(({ ph }) => ph === 'M').map(({ args }) => args?.name);
    expect(names).toEqual(
      expect.arrayContaining(['prefill instance 0 (modelled)', 'decode instance 0 (modelled)']),
    );
    // Slices nest on every track.
    const open = new Map<number, number>();
    for (const { ph, tid } of traceEvents) {
      if (ph === 'B') open.set(tid, (open.get(tid) ?? 0) + 1);
      if (ph === 'E') open.set(tid, (open.get(tid) ?? 0) - 1);
      expect(open.get(tid) ?? 0).toBeGreaterThanOrEqual(0);
    }
    expect([...open.values()].every((depth) => depth === 0)).toBe(true);
  });

  test('are no phase', async () => {
    await expect(project({ ...options, phase: 'prefill' })).rejects.toThrow(/leave the phase out/);
  });
});

test('10,000 requests on 128 GPUs, and time in proportion to events', async () => {
  const run = async (requests: number) => {
    const before = process.cpuUsage();
    const { simulation } = await deployed(
      { ...{ model: 'card', hardware: 'h100', isl: 512, osl: 64, concurrency: 256 }, requests },
      0,
    );
    const { user, system } = process.cpuUsage(before);
    return { events: simulation.events, us: user + system };
  };
  await run(500);
  const found = [await run(1250), await run(3500), await run(10000)];
  const { exponent } = fitPower(
    found.map(({ events }) => events),
    found.map(({ us }) => us),
  );
  // The fit of moebius growth; time of the processor, so that others on the machine hardly count.
  expect(exponent).toBeLessThan(1.4);
  expect(found.at(-1)?.us).toBeLessThan(20e6);
});

describe('steps of our own engine', () => {
  test.each([100, -200])(
    'are told exactly where the truth has the form of the curves, %i ns a dispatch',
    (dispatchNs) => {
      const kernel = (shader: string, dispatches: number, groups: number, depth: number): KernelTime => ({
        ...{
          shader,
          spec: '',
          operation: 'experts',
          dispatches,
          terms: [1, groups, groups * depth, 7 * groups],
        },
        ns: 500 + 3 * groups + (groups * depth) / 2,
      });
      const step = (n: number) => {
        const kernels = [kernel('gemm', n, 10 * n * n, 40 + n), kernel('norm', 2, 30 + n, 0)];
        const ns = sum(kernels.map((one) => one.dispatches * one.ns));
        return { kernels, wallNs: 20_000 + dispatchNs * (n + 2) + 1.2 * ns };
      };
      const model = fitSteps([1, 2, 3, 5, 8, 13].map(step));
      for (const n of [4, 10, 20]) expect(model.predict(step(n).kernels) / step(n).wallNs).toBeCloseTo(1, 3);
      expect(model.curveError).toBeLessThan(1e-3);
    },
  );

  test('a measurement that the others disagree with hardly counts', () => {
    const rows = [1, 2, 3, 4, 5, 6, 7, 8].map((x) => [1, x]);
    const targets = rows.map(([, x = 0], i) => (100 + 10 * x) * (i === 3 ? 4 : 1));
    const [a = 0, b = 0] = nonNegativeFit(rows, targets);
    for (const x of [1, 5, 8]) expect(Math.abs((a + b * x) / (100 + 10 * x) - 1)).toBeLessThan(0.05);
  });

  test('tiles are expected as rows choose experts', () => {
    expect(expectedTiles(0, 8, 16)).toBe(0);
    expect(expectedTiles(1, 8, 16)).toBeCloseTo(1, 12);
    // Two rows meet in one of two experts with probability 1/2: tiles of 2 are 1 or 2.
    expect(expectedTiles(2, 2, 2)).toBeCloseTo(1.5, 12);
    expect(expectedTiles(7, 4, 1)).toBeCloseTo(7, 12);
    expect(expectedTiles(33, 1, 16)).toBe(3);
    expect(expectedTiles(4000, 16, 32)).toBeGreaterThan(4000 / 32);
    expect(expectedTiles(4000, 16, 32)).toBeLessThan(4000 / 32 + 16);
  });

  test('equal dispatches are one work, with the lower quartile of their fastest times', () => {
    const tag = { operation: 'attention', rows: 8 } as StepSpan;
    const span = (ns: number, depth: number) => ({
      ...{ tag, kernel: 'gemm.wgsl', ns, part: undefined, beginNs: 0n, endNs: 0n },
      dispatch: { spec: { ROWS: 4 }, params: { depth }, grid: [2, 3, 1] as const },
    });
    const runs = [
      [span(5, 16), span(9, 16), span(7, 16), span(2, 32)],
      [span(6, 16), span(8, 16), span(1, 16), span(3, 32)],
    ];
    const work = { shader: 'gemm.wgsl', spec: '{"ROWS":4}', operation: 'attention' };
    expect(workOfStep(runs, { queries: 1, keys: 1, experts: 16 })).toEqual([
      { ...work, terms: [1, 6, 96, 0, 0, 0, 0, 2], dispatches: 3, ns: 1 },
      { ...work, terms: [1, 6, 192, 0, 0, 0, 0, 2], dispatches: 1, ns: 2 },
    ]);
  });
});
