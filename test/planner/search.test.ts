/** Searches: every layout once, the front by brute force, threads that change nothing, and an end before the end. */
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deployed } from '../../src/cli/verbs/plan/deployment.ts';
import { drawSearch, pageOfSearch } from '../../src/cli/verbs/plan/search-drawings.ts';
import { search, type SearchOptions } from '../../src/cli/verbs/plan/search.ts';
import { product } from '../../src/core/math.ts';
import { hardwareNamed } from '../../src/hardware/profiles/named.ts';
import { readingsOf, type Factor } from '../../src/layout/readings.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { modelNamed } from '../../src/planner/models/named.ts';
import { project } from '../../src/planner/project/project.ts';
import { evaluate, type Delivery, type SearchSetting } from '../../src/planner/search/evaluate.ts';
import { beats, differences, paretoFront } from '../../src/planner/search/front.ts';
import { keyOf, layoutsOf, placementOfReading } from '../../src/planner/search/layouts.ts';
import { FRAMEWORK } from '../../src/planner/serving/framework.ts';
import { worldGpus } from '../../src/planner/serving/placement.ts';
import { SHARES, type Share } from '../../src/planner/simulate/simulate.ts';
import { closedLoop } from '../../src/planner/simulate/workload.ts';
import { renderSearch } from '../../src/report/terminal/plan/search.ts';
import { PLAIN } from '../../src/report/terminal/style.ts';
import { moebius } from '../cli/spawn.ts';

describe('layouts', () => {
  const card = modelNamed('card');

  test('of two GPUs are all there by hand', () => {
    const found = layoutsOf(card, 2, 8).map(({ placement: p }) => [
      p.attnTp,
      p.attnDp,
      p.pp,
      p.moeTp,
      p.ep,
      p.replicas,
      p.expertSlots ?? card.experts,
    ]);
    expect(found.sort()).toEqual(
      [
        [1, 1, 1, 1, 1, 2, 16], // two replicas
        [1, 1, 2, 1, 1, 1, 16], // two stages
        [1, 2, 1, 1, 2, 1, 16], // EP 2, each attends to its own sequences
        [2, 1, 1, 1, 2, 1, 16], // EP 2, TP 2
        [2, 1, 1, 2, 1, 1, 16], // experts cut in two
        [2, 1, 1, 1, 2, 1, 32], // TP 2, every expert on both
      ].sort(),
    );
  });

  test.each([
    ['card', 128],
    ['mixtral-8x7b', 24],
    ['llama-3.1-8b', 16],
  ] as const)('of %s on %i GPUs fit their readings, and none is there twice', (name, gpus) => {
    const model = modelNamed(name);
    const all = layoutsOf(model, gpus, 8);
    expect(new Set(all.map(({ placement }) => keyOf(placement))).size).toBe(all.length);
    const size = (view: readonly Factor[] | undefined, axis: string): number | undefined =>
      view?.find((factor) => factor.axis === axis)?.size;
    for (const { placement, names } of all) {
      expect(worldGpus(placement)).toBe(gpus);
      for (const { reading, layout } of names) {
        const told = readingsOf(parseLayout(layout), gpus).find(({ id }) => id === reading);
        expect(told?.matchesGpus).toBe(true);
        const { attention, expert } = told?.views ?? {};
        expect(size(attention, 'tp')).toBe(placement.attnTp);
        expect(size(attention, 'attnDp')).toBe(placement.attnDp * placement.replicas);
        expect(size(expert, 'etp')).toBe(placement.moeTp);
        // Copies of an expert: those within an instance are slots.
        const copies =
          ((placement.expertSlots ?? model.experts) / Math.max(1, model.experts)) * placement.replicas;
        if (model.experts > 0) expect(size(expert, 'edp')).toBe(copies);
        expect(product((expert ?? []).map((factor) => factor.size))).toBe(gpus);
      }
    }
  });

  test('tp groups that straddle EP groups meet in the least common multiple', () => {
    const placement = placementOfReading('attention-dp', { ep: 4, pp: 1, tp: 6, dp: 4 }, 16, 8);
    expect(placement).toMatchObject({ attnTp: 6, attnDp: 2, ep: 12, replicas: 2, expertSlots: 48 });
  });
});

const delivery = (ttftMs: number, outputTokensPerS: number, memoryBytes = 1, gpus = 8): Delivery => ({
  ...{ gpus, ttftMs, ttftP90Ms: ttftMs, tpotMs: 1, tpotP90Ms: 1, e2eMs: 1, queueingShare: 0 },
  ...{ inputTokensPerS: 1, outputTokensPerS, memoryBytes, events: 1 },
  shares: Object.fromEntries(SHARES.map((share) => [share, 1 / SHARES.length])) as Record<Share, number>,
});

test('the front is what nothing dominates, and everything else is dominated', () => {
  const small = fc.integer({ min: 1, max: 4 });
  fc.assert(
    fc.property(fc.array(fc.tuple(small, small, small, small), { minLength: 1, maxLength: 12 }), (rows) => {
      const all = rows.map(([a, b, c, d]) => delivery(a, b, c, d));
      const front = paretoFront(all);
      const better = (x: Delivery, y: Delivery): boolean =>
        x.ttftMs <= y.ttftMs &&
        x.outputTokensPerS >= y.outputTokensPerS &&
        x.memoryBytes <= y.memoryBytes &&
        x.gpus <= y.gpus &&
        (x.ttftMs < y.ttftMs ||
          x.outputTokensPerS > y.outputTokensPerS ||
          x.memoryBytes < y.memoryBytes ||
          x.gpus < y.gpus);
      for (const one of all) expect(front.includes(one)).toBe(!all.some((other) => better(other, one)));
    }),
  );
});

test('what beats a layout, and the share of GPU time that says why', () => {
  const [slow, fast] = [delivery(10, 100), delivery(10, 200)];
  expect([beats(fast, slow), beats(slow, fast), beats(slow, slow)]).toEqual([true, false, false]);
  const shares = { ...slow.shares, bubble: 0.5, idle: 0 };
  const [first] = differences({ ...slow, shares }, { ...fast, shares: { ...shares, bubble: 0.1 } });
  // 8 GPUs: 80,000 us of GPU time a token, half of them bubbles; then 40,000, a tenth of them.
  expect(first).toEqual({ share: 'bubble', from: 40000, to: 4000 });
});

test('one of equal replicas tells what all of them do', () => {
  const common = {
    model: modelNamed('mixtral-8x7b'),
    hardware: hardwareNamed('h100'),
    precision: 'fp8',
    framework: FRAMEWORK.typical,
    routing: { kind: 'uniform' },
  } as const;
  const placement = { attnTp: 2, attnDp: 1, pp: 1, moeTp: 1, ep: 2, replicas: 4, gpusPerNode: 8 };
  const setting: SearchSetting = { ...common, isl: 256, osl: 64, concurrency: 32, rounds: 60, seed: 1 };
  const one = evaluate(placement, setting) as Delivery;
  const workload = closedLoop({ input: 256, output: 64, least: 0.8 }, 32, 60 * 32);
  const { summary, simulation } = project({ ...common, placement, workload });
  expect(Math.abs(one.outputTokensPerS / summary.outputTokensPerS - 1)).toBeLessThan(0.05);
  expect(Math.abs(one.tpotMs / summary.tpotMs.mean - 1)).toBeLessThan(0.07);
  expect(Math.abs(one.shares.attention / simulation.shares.attention - 1)).toBeLessThan(0.05);
});

const CARD: SearchOptions = {
  ...{ model: 'card', hardware: 'h100-sxm', gpus: 8, layout: 'ep=4,pp=2,tp=2' },
  ...{ isl: 64, osl: 16, rounds: 2, threads: 1 },
};

describe('the verb', () => {
  test('finds the same with two threads as alone, places the given layout, and tells it in 80 columns', async () => {
    const alone = await search(CARD);
    expect(await search({ ...CARD, threads: 2 })).toEqual(alone);
    expect(alone.simulated).toBe(alone.layouts);
    expect(alone.found.filter(({ front }) => front)).toEqual(alone.front);
    expect(alone.given?.layout.layout).toBe('ep=4,pp=2,tp=2,dp=1');
    const { rank = 0, better = [] } = alone.given ?? {};
    expect(rank).toBe(1 + alone.found.findIndex((one) => one.layout === 'ep=4,pp=2,tp=2,dp=1'));
    for (const { layout } of better) expect(beats(layout, alone.given?.layout as Delivery)).toBe(true);
    expect(renderSearch(alone, PLAIN).filter((line) => line.length > 80)).toEqual([]);
    expect(drawSearch(alone)).toMatch(/^<svg .*<\/svg>\n$/s);
    expect(await pageOfSearch(alone)).toContain('id="moebius-search"');
  });

  test('targets divide, and none that is met is told with the nearest', async () => {
    const some = await search({ ...CARD, gpus: [4, 8], layout: 'ep=8' });
    const limit = some.best?.ttftMs ?? NaN;
    const report = await search({ ...CARD, ttft: limit, gpus: [4, 8], layout: 'ep=8' });
    expect(report.found.filter(({ meets }) => meets).every(({ ttftMs }) => ttftMs <= limit)).toBe(true);
    expect(new Set(report.found.map(({ gpus }) => gpus))).toEqual(new Set([4, 8]));
    const none = await search({ ...CARD, tpot: 1e-3 });
    expect(none.best).toBeNull();
    expect(renderSearch(none, PLAIN).join(' ')).toMatch(/No layout has TPOT at most/);
  });

  test('requests that come by themselves meet every layout as `project` has it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'moebius-'));
    const trace = join(folder, 'trace.csv');
    await writeFile(trace, 'arrival_s,input_tokens,output_tokens\n0,90,20\n0.01,40,9\n0.5,64,30\n');
    const open = { model: 'card', hardware: 'h100-sxm', threads: 1 };
    for (const arrivals of [{ trace }, { rate: 300, requests: 40, seed: 3, isl: 64, osl: 16 }]) {
      const report = await search({ ...open, gpus: 2, ...arrivals });
      const { workload } = report;
      expect([workload.concurrency, workload.requests]).toEqual([null, 'trace' in arrivals ? 3 : 40]);
      for (const { layout: own, reading, ttftMs, tpotMs, outputTokensPerS } of report.found) {
        if (reading !== 'folded') continue;
        const common = { model: 'card', hardware: 'h100', layout: own, ...arrivals };
        const { percentiles } = (await deployed(common, 0)).report;
        expect([ttftMs, tpotMs, outputTokensPerS]).toEqual([
          percentiles.ttftMs.mean,
          percentiles.tpotMs.mean,
          percentiles.outputTokensPerS,
        ]);
      }
      expect(renderSearch(report, PLAIN).join(' ').replace(/\s+/g, ' ')).toContain('requests that come at');
    }
  });

  test('without a framework it and `project` take that of the recipe, as rows of cases do, and are less sure', async () => {
    const small = { hardware: 'h200', isl: 64, osl: 16, concurrency: 16 };
    for (const [model, framework] of [
      ['deepseek-r1', 'sglang'],
      ['gpt-oss-120b', 'vllm'],
    ] as const) {
      const one = { ...small, model, layout: 'ep=8,tp=8' };
      const searched = { ...one, gpus: 8, rounds: 1, threads: 1 };
      for (const tell of [
        async (given: { framework?: string }) => (await deployed({ ...one, ...given }, 0)).report,
        async (given: { framework?: string }) => {
          const report = await search({ ...searched, ...given });
          return { ...report, cells: { tpot_ms: report.given?.layout.cells.tpot_ms } };
        },
      ]) {
        const [unnamed, named, typical] = [
          await tell({}),
          await tell({ framework }),
          await tell({ framework: 'typical' }),
        ];
        expect([unnamed.framework, unnamed.frameworkNamed]).toEqual([framework, false]);
        expect([named.framework, named.frameworkNamed]).toEqual([framework, true]);
        const [a, b, c] = [unnamed, named, typical].map(({ cells }) => cells.tpot_ms);
        expect(a?.value).toBe(b?.value);
        expect(a?.low).not.toBe(b?.low);
        expect(c?.value).not.toBe(a?.value);
      }
    }
  });

  test('a signal ends it with what was found', async () => {
    const controller = new AbortController();
    const report = await search({
      ...CARD,
      signal: controller.signal,
      onProgress: (done) => done === 3 && controller.abort(),
    });
    expect([report.interrupted, report.simulated]).toEqual([true, 3]);
  });

  test.each([
    [{ gpus: 1 }, /has 8 GPUs/],
    [{ layout: undefined }, /short of \d+ bytes.*a rank.*Try --gpus 16, or --precision fp4/],
    [{ gpus: 0 }, /gpus \(0\) must be a whole number/],
    [{ layout: 'ep=4' }, /has 4 GPUs, and the search is over 8.*--gpus 4/],
    [{ ttft: -1 }, /ttft \(-1\) must be/],
    [{ rate: 4, rounds: 2 }, /rounds is of a closed loop; with a rate it would do nothing/],
    [{ rate: -4, rounds: undefined }, /rate is -4 requests a second; it must be a positive number/],
    [{ requests: 4 }, /requests is for a rate/],
    [
      { rate: 4, trace: 'a.csv', rounds: undefined },
      /trace says when requests come; rate 4 would do nothing/,
    ],
    [{ tppt: 5 }, /cannot have "tppt" \(did you mean "tpot"/],
  ])('%o', async (more, message) => {
    const options = { ...CARD, model: 'deepseek-v3', ...more } as SearchOptions;
    await expect(search(options)).rejects.toThrow(message);
  });

  test('from the command line: times with units, a drawing, a page', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'moebius-'));
    const plot = join(folder, 'a.svg');
    const { code, stdout, stderr } = await moebius(
      ...['search', '--model', 'card', '--hardware', 'h100', '--gpus', '2', '--isl', '32', '--osl', '8'],
      ...['--ttft', '10s', '--tpot', '50ms', '--plot', plot, '--threads', '1', '--json'],
    );
    expect([code, stderr]).toEqual([0, '']);
    expect((JSON.parse(stdout) as { targets: object }).targets).toEqual({ ttftMs: 10000, tpotMs: 50 });
    expect(await readFile(plot, 'utf8')).toContain('<svg');
  });
});
