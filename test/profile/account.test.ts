/** The rows of an account add to the wall time of the same step, on any layout; and hand-worked ones. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { range, sum } from '../../src/core/math.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import type { Checkpoint } from '../../src/model/checkpoint.ts';
import { DROPPED } from '../../src/routing/dispatch-plan.ts';
import { accountOf, accountOfRun } from '../../src/profile/account.ts';
import { axisOf, deviceAxis, onHost } from '../../src/profile/host-offset.ts';
import { clockAnchors } from '../../src/profile/clock-anchors.ts';
import { receivedRows } from '../../src/runtime/step/trace.ts';
import { generationSubject } from '../../src/profile/subjects/generation.ts';
import { profileRuns, type RunProfile, unionNs } from '../../src/profile/profile.ts';
import { stepSubject } from '../../src/profile/subjects/engine-step.ts';
import { virtualCluster } from '../../src/runtime/step/virtual-cluster.ts';
import { rated } from '../../src/profile/rates.ts';
import { createEngine, type StepResult } from '../../src/runtime/engine.ts';
import type { StepSpan, StepSpanTime } from '../../src/runtime/step/span.ts';
import { testPlatform } from '../setup/gpu.ts';
import { loadTinyMoe } from '../model/tiny-moe.ts';

function tagOf(change: Partial<StepSpan> = {}): StepSpan {
  return {
    ...{ stage: 0, layer: 0, microBatch: 0, operation: 'attention' },
    ...{ ranks: { first: 0, count: 2 }, rows: 4, rowsOf: [3, 1], flop: 8, bytes: 16 },
    ...change,
  };
}

function span(tag: StepSpan, beginNs: number, endNs: number, part?: unknown): StepSpanTime {
  const [begin, end] = [BigInt(beginNs), BigInt(endNs)];
  const ns = endNs >= beginNs ? endNs - beginNs : undefined;
  return { tag, part, kernel: undefined, beginNs: begin, endNs: end, ns };
}

describe('by hand', () => {
  // The host's clock is 900 ahead of the device's, and the bounds leave 10 to either side.
  const attention = tagOf();
  const experts = tagOf({ operation: 'experts', rowsOf: undefined });
  const step: Pick<StepResult, 'spans' | 'submits' | 'host' | 'hostNs'> = {
    spans: [span(attention, 1030, 1050), span(experts, 1060, 1100)],
    submits: [{ submittedNs: 1920, doneNs: 2010, spans: { first: 0, count: 2 } }],
    host: [
      { phase: 'plan', beginNs: 1890, endNs: 1900 },
      { phase: 'record', beginNs: 1900, endNs: 1920 },
      { phase: 'submit', beginNs: 1920, endNs: 1940 },
      { phase: 'read-back', beginNs: 1940, endNs: 2010 },
    ],
    hostNs: 120,
  };

  test('every moment has its row', () => {
    const { rows, offset, wallNs, voidPasses } = accountOf(step);
    expect(offset).toEqual({ ns: 1930, errorNs: 10 });
    expect([wallNs, voidPasses]).toEqual([120, 0]);
    expect(Object.fromEntries(rows.map(({ name, ns }) => [name, ns]))).toEqual({
      'stage 0 attention': 20,
      'stage 0 experts': 40,
      'host: plan': 10,
      'host: record': 20,
      // The first pass begins at 1930.
      'host: submit': 10,
      'between passes': 10,
      'read-back': 10,
    });
    const submit = rows.find(({ name }) => name === 'host: submit');
    expect(submit?.hiddenNs).toBe(10);
    expect(rows.find(({ name }) => name === 'read-back')?.hostSyncs).toBe(1);
    expect(sum(rows.map(({ share }) => share))).toBeCloseTo(1);
  });

  test('without timestamps the device is in one row with the read-back', () => {
    const { rows, offset } = accountOf({ ...step, spans: [], submits: [] });
    expect(offset).toBeUndefined();
    expect(rows.find(({ name }) => name === 'device and read-back')?.ns).toBe(70);
    expect(sum(rows.map(({ ns }) => ns))).toBe(120);
  });

  test('passes that overlap, or whose clock went backwards, count no moment twice', () => {
    const spans = [span(attention, 1030, 1050), span(experts, 1040, 1100), span(experts, 1100, 1090)];
    const account = accountOf({
      ...step,
      spans,
      submits: [{ submittedNs: 1920, doneNs: 2010, spans: { first: 0, count: 3 } }],
    });
    expect(account.voidPasses).toBe(1);
    // One span in two passes: what it costs counts once.
    const own = account.rows.find(({ operation }) => operation === 'experts');
    expect(own).toMatchObject({ ns: 50, calls: 2, flop: 8 });
    expect(sum(account.rows.map(({ ns }) => ns))).toBe(120);
  });

  test('time that no host phase covers is other', () => {
    const { rows } = accountOf({ ...step, hostNs: 150 });
    expect(rows.find(({ group }) => group === 'other')?.ns).toBe(30);
  });

  test('what can be won comes first, and a row at the roof wins nothing', () => {
    const ceiling = { state: 'measured', samples: [1], clock: 'gpu' } as const;
    const rows = rated(accountOf(step).rows, [
      { ...ceiling, name: 'f32 multiply-add', unit: 'FLOP/s', value: 1e9 },
      { ...ceiling, name: 'storage read', footprintBytes: 16, unit: 'B/s', value: 0.8e9 },
    ]);
    // Each moves 16 bytes, at most 0.8 a ns: 20 ns of attention's 20 and of the experts' 40.
    const won = Object.fromEntries(rows.map(({ name, recoverableNs }) => [name, recoverableNs]));
    expect(won['stage 0 attention']).toBeCloseTo(0);
    expect(won['stage 0 experts']).toBeCloseTo(20);
    expect(rows.at(-1)?.name).toBe('stage 0 attention');
  });

  test('the clocks: every list of every run bounds the offset, and what contradicts is left out', () => {
    const bounds = (submittedNs: number, beginNs: number, endNs: number, doneNs: number) => ({
      spans: [span(attention, beginNs, endNs)],
      submits: [{ submittedNs, doneNs, spans: { first: 0, count: 1 } }],
    });
    // Offsets from the first begin, at 100: 900 to 990, and 880 to 940.
    const [one, other] = [bounds(1000, 100, 110, 1100), bounds(1080, 200, 210, 1150)];
    expect(deviceAxis([one]).offset).toEqual({ ns: 1045, errorNs: 45 });
    expect(deviceAxis([one, other]).offset).toEqual({ ns: 1020, errorNs: 20 });
    expect(onHost(deviceAxis([one, other]), 150n)).toBe(1070);
    expect(axisOf([one], [other]).offset).toEqual({ ns: 1020, errorNs: 20 });
    const wrong = bounds(9000, 300, 310, 9100);
    expect(axisOf([one], [other, wrong]).offset).toEqual({ ns: 1045, errorNs: 45 });
    expect(deviceAxis([]).offset).toBeUndefined();
    expect(deviceAxis([{ spans: [span(attention, 20, 10)], submits: one.submits }]).offset).toBeUndefined();
  });

  test('a run of two parts: rows carry their part, and the choice of tokens is work of the host', () => {
    const later = {
      ...step,
      host: [{ phase: 'choose' as const, beginNs: 1880, endNs: 1890 }, ...step.host],
      hostNs: 130,
    };
    const { rows, wallNs } = accountOfRun({
      wallNs: 400,
      pieces: [
        { ...step, part: 'prefill' },
        { ...later, part: 'decode' },
        { ...later, part: 'decode' },
      ],
    });
    expect(wallNs).toBe(400);
    const times = Object.fromEntries(rows.map(({ name, ns }) => [name, ns]));
    expect(times['prefill: stage 0 attention']).toBe(20);
    expect(times['decode: stage 0 attention']).toBe(40);
    expect(times['decode: host: choose']).toBe(20);
    expect(times.other).toBe(20);
    expect(rows.find(({ name }) => name === 'decode: stage 0 experts')).toMatchObject({
      ...{ part: 'decode', stage: 0, operation: 'experts', calls: 2, flop: 16, bytes: 32 },
    });
    expect(sum(rows.map(({ ns }) => ns))).toBe(400);
    expect(sum(rows.map(({ share }) => share))).toBeCloseTo(1);
  });

  test('ranks: experts whose rows were traced are split by them, else in equal parts', () => {
    const traced = [{ stage: 0, layer: 0, microBatch: 0, rows: [1, 7] }];
    const spans = [span(experts, 0, 80)];
    const timesOf = (step: Parameters<typeof virtualCluster>[0]) =>
      [...virtualCluster(step).ranks]
        .sort((a, b) => a.rank - b.rank)
        .map(({ computeNs, source }) => [computeNs, source]);
    expect(timesOf({ spans, expertRows: traced })).toEqual([
      [10, 'split'],
      [70, 'split'],
    ]);
    expect(timesOf({ spans })).toEqual([
      [40, 'assumed'],
      [40, 'assumed'],
    ]);
    // Two replicas of two ranks with two experts each: nobody sends to the other replica.
    const layout = { ep: 2, slotsOfRank: 2 };
    const chosen = [[0, 3, 3, 2], [1], [0, 1], [DROPPED, 2]];
    expect(receivedRows(layout, 4, (rank) => chosen[rank] ?? [])).toEqual([2, 3, 2, 1]);
  });

  test('ranks: a shared pass is split by rows, and what a rank waits for is idle or bubble', () => {
    // Stage 0: 40 split 30 + 10. Stage 1: each rank its own pass, 10 and 20, in the second clock.
    const second = tagOf({ stage: 1, operation: 'all-to-all' });
    const own = (rank: number): unknown => ({ ranks: [rank] });
    const { wallNs, ranks, slices } = virtualCluster({
      spans: [span(attention, 0, 40), span(second, 50, 60, own(0)), span(second, 60, 80, own(1))],
    });
    expect(wallNs).toBe(50);
    const compact = ranks.map((r) => [
      r.stage,
      r.rank,
      r.computeNs,
      r.communicationNs,
      r.bubbleNs,
      r.idleNs,
      r.source,
    ]);
    expect(compact).toEqual([
      [0, 0, 30, 0, 20, 0, 'split'],
      [1, 1, 0, 20, 30, 0, 'measured'],
      [0, 1, 10, 0, 20, 20, 'split'],
      [1, 0, 0, 10, 30, 10, 'measured'],
    ]);
    expect(slices.map(({ stage, rank, beginNs, ns }) => [stage, rank, beginNs, ns])).toEqual([
      [0, 0, 0, 30],
      [0, 1, 0, 10],
      [1, 0, 30, 10],
      [1, 1, 30, 20],
    ]);
  });

  test('a union counts what overlaps once', () => {
    const intervals = [
      [20, 21],
      [0, 10],
      [5, 12],
      [6, 7],
    ].map(([beginNs = 0, endNs = 0]) => ({ beginNs, endNs }));
    expect(unionNs(intervals)).toBe(13);
    expect(unionNs([])).toBe(0);
  });
});

describe('of real steps', () => {
  let gpu: Gpu;
  let model: Checkpoint;
  beforeAll(async () => {
    const platform = testPlatform();
    gpu = await openGpu(platform);
    model = await loadTinyMoe();
  });
  afterAll(() => gpu.destroy());

  test.each([
    ['ep=1', 'pass'],
    ['ep=16,pp=4,tp=2,dp=2', 'pass'],
    ['ep=4,pp=2,tp=2,dp=1', 'dispatch'],
  ] as const)('%s, a %s each: rows add to the wall time, and ranks to theirs', async (layout, detail) => {
    const engine = await createEngine(gpu, {
      layout: planLayout(parseLayout(layout), model.config),
      weights: model,
      maxSequences: 16,
      maxLength: 5,
    });
    const requests = range(16).map((sequence) => ({ sequence, ids: [1, 2, 3, 4] }));
    const decode = requests.map(({ sequence }) => ({ sequence, ids: [5] }));
    const anchors = await clockAnchors(gpu, 4);
    const subjects = [
      stepSubject(engine, decode, requests),
      generationSubject(engine, { promptIds: [1, 2], tokens: 3 }),
    ];
    for (const subject of subjects) {
      const found = await profileRuns(subject, { detail, rounds: 1, anchors });
      holds(found, layout);
      if (detail === 'pass' || !gpu.has('timestamp-query')) continue;
      const own = found.cluster.slices.filter(({ operation }) => ['attention', 'logits'].includes(operation));
      expect(own.length).toBeGreaterThan(0);
      expect(own.filter(({ source }) => source !== 'measured')).toEqual([]);
    }
    expect(gpu.ledger.heldByPurpose().staging).toBeUndefined();
    engine.destroy();
  });

  function holds({ account, cluster, bareNs, run, instrumentedNs }: RunProfile, layout: string): void {
    const spans = run.pieces.flatMap((piece) => piece.spans);
    expect(bareNs).toHaveLength(1);
    const { wallNs, rows, offset } = account;
    expect(instrumentedNs).toEqual([wallNs]);
    expect(Math.abs(sum(rows.map(({ ns }) => ns)) - wallNs)).toBeLessThanOrEqual(0.01 * wallNs);
    const other = sum(rows.filter(({ group }) => group === 'other').map(({ ns }) => Math.abs(ns)));
    expect(other).toBeLessThanOrEqual(0.05 * wallNs);
    expect(rows.every(({ ns }) => ns >= 0)).toBe(true);
    if (!gpu.has('timestamp-query')) return;
    // Both clocks tick alike: the bounds leave room.
    expect(offset?.errorNs).toBeGreaterThan(0);
    expect(offset?.errorNs).toBeLessThan(wallNs);
    const gpuNs = sum(spans.map(({ ns = 0 }) => ns));
    const busyNs = sum(rows.filter(({ group }) => group === 'gpu busy').map(({ ns }) => ns));
    expect(Math.abs(busyNs - gpuNs)).toBeLessThanOrEqual(0.02 * gpuNs);
    const { ranks, slices, wallNs: clusterNs } = cluster;
    expect(ranks).toHaveLength(planLayout(parseLayout(layout), model.config).worldSize);
    // Rows of experts are known.
    expect(ranks.filter(({ source }) => source === 'assumed')).toEqual([]);
    expect(Math.abs(sum(slices.map(({ ns }) => ns)) - gpuNs)).toBeLessThanOrEqual(1e-6 * gpuNs);
    for (const { computeNs, communicationNs, bubbleNs, idleNs } of ranks) {
      expect(computeNs + communicationNs + bubbleNs + idleNs).toBeCloseTo(clusterNs, 0);
    }
  }
});
