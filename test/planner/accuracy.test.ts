import { describe, expect, test } from 'vitest';
import { hardwareNamed } from '../../src/hardware/profiles/named.ts';
import { replayAccuracy } from '../../src/planner/accuracy/replay.ts';
import { leftOutRows, rateOf } from '../../src/planner/accuracy/rows.ts';
import { choices, rankingAccuracy, servingAccuracy } from '../../src/planner/accuracy/serving.ts';
import { modelNamed } from '../../src/planner/models/named.ts';
import { regionOf } from '../../src/planner/project/region.ts';
import { projectRow } from '../../src/planner/project/serving-case.ts';

describe('deployments of families that no figure has seen', () => {
  const overall = servingAccuracy().overall.filter(({ kind }) => kind === 'mixtures');
  const named = overall.filter(({ leftOut }) => !leftOut.includes('not named'));
  const of = (operation: string) => named.filter((region) => region.operation === operation);

  test('tokens are told within 10 % in the middle and 30 % for nine of ten, first tokens within 25 %', () => {
    expect(of('serving TPOT')).toHaveLength(3);
    for (const { median, p90 } of of('serving TPOT')) {
      expect(median).toBeLessThan(0.1);
      expect(p90).toBeLessThan(0.3);
    }
    for (const { median } of of('serving TTFT')) expect(median).toBeLessThan(0.25);
  });

  test('without the name of the framework tokens and first tokens are told as well', () => {
    const [tpot, ttft] = overall.filter(({ leftOut }) => leftOut.includes('not named'));
    expect(tpot?.operation).toBe('serving TPOT');
    expect(tpot?.median).toBeLessThan(0.13);
    expect(tpot?.p90).toBeLessThan(0.33);
    expect(ttft?.operation).toBe('serving TTFT');
    expect(ttft?.median).toBeLessThan(0.25);
  });

  test('75 to 90 % lie within their 80 % intervals', () => {
    expect(overall).toHaveLength(12);
    for (const { covered } of overall) {
      expect(covered).toBeGreaterThan(0.75);
      expect(covered).toBeLessThan(0.9);
    }
  });

  test('regions are told by part of their name, and none for another', () => {
    const { regions } = servingAccuracy('tpot h200_sxm vllm fp8 minimax');
    expect(regions.map(({ model }) => model)).toEqual(Array(4).fill('minimax-m2.5'));
    expect(servingAccuracy('no such region')).toEqual({ overall: [], regions: [] });
  });

  test('what was written down is what the figures that ship say', () => {
    // Short runs of three frameworks: whoever changes a step's cost without a new fit is told here.
    for (const framework of ['vllm', 'sglang', 'trtllm']) {
      const row = leftOutRows().find(
        (one) => one.framework === framework && one.mixture && one.concurrency === 4 && one.osl === 1024,
      );
      if (row === undefined) throw new Error(`no row of ${framework}`);
      const [, tp = '', dp = '', moeTp = '', ep = ''] =
        /tp(\d+) dp(\d+) moe_tp(\d+) ep(\d+)/.exec(row.layout) ?? [];
      const { cells } = projectRow(
        {
          ...{ model: row.model, hardware: row.hardware, framework, precision: row.precision },
          ...{ attn_tp: tp, attn_dp: dp, moe_tp: moeTp, ep, gpus: String(row.gpus) },
          ...{ isl: String(row.isl), osl: String(row.osl), concurrency: String(row.concurrency) },
        },
        modelNamed,
      );
      expect(Math.abs((cells.tpot_ms?.value ?? NaN) / row.seen.tpotMs - 1)).toBeLessThan(0.02);
      expect(Math.abs((cells.ttft_ms?.value ?? NaN) / row.seen.ttftMs - 1)).toBeLessThan(0.05);
    }
  });
});

test('a framework that nobody names is that of the published recipe, with wider intervals, and the note says so', () => {
  const row = { hardware: 'h200', gpus: '8', attn_tp: '8', isl: '64', osl: '16', concurrency: '2' };
  for (const [model, framework] of [
    ['deepseek-r1', 'sglang'],
    ['gpt-oss-120b', 'vllm'],
    ['qwen3-235b-a22b', 'vllm'],
  ] as const) {
    const unnamed = projectRow({ ...row, model }, modelNamed);
    const named = projectRow({ ...row, model, framework }, modelNamed);
    expect(unnamed.note).toContain(`no framework is named: ${framework}'s habits`);
    expect(named.note).not.toContain('named');
    const [a, b] = [unnamed.cells.ttft_ms, named.cells.ttft_ms];
    expect(a?.value).toBe(b?.value);
    expect(a?.low).not.toBe(b?.low);
  }
});

test('the layout that is chosen is within 5 % of the best measured in four of five groups', () => {
  const [all, sameGpus, sameServer] = rankingAccuracy().overall;
  expect(all?.rows).toBeGreaterThan(400);
  expect(all?.covered).toBeGreaterThan(0.8);
  expect(sameGpus?.rows).toBeGreaterThan(50);
  expect(sameGpus?.covered).toBeGreaterThan(0.8);
  expect(sameServer?.rows).toBeGreaterThan(25);
  expect(sameServer?.covered).toBeGreaterThan(0.8);
  for (const { shortfall } of choices('all alternatives')) expect(shortfall >= 0 && shortfall < 1).toBe(true);
});

test('the rate of a closed loop: 10 requests of 100 tokens, 1 s to the first and 10 ms each, on 5 GPUs', () => {
  const row = leftOutRows()[0];
  if (row === undefined) throw new Error('no rows');
  const rate = rateOf({ ...row, concurrency: 10, osl: 100, gpus: 5 }, { ttftMs: 1000, tpotMs: 10 });
  expect(rate).toBeCloseTo(1000 / 1.99 / 5, 6);
});

test('a run of 300 requests: tokens within 3 %, latency within 3 %, first tokens within 12 %', () => {
  const [tpot, latency, ttft] = replayAccuracy().regions;
  expect(tpot?.median).toBeLessThan(0.03);
  expect(latency?.median).toBeLessThan(0.03);
  expect(ttft?.median).toBeLessThan(0.12);
});

test('servers on cards of workstations are in no region that was fitted', () => {
  const placement = { attnTp: 1, attnDp: 1, pp: 1, moeTp: 1, ep: 1, replicas: 1, gpusPerNode: 8 };
  const model = modelNamed('qwen3-30b-a3b');
  expect(regionOf(model, hardwareNamed('rtx_pro_6000'), placement).covered).toBe(false);
  expect(regionOf(model, hardwareNamed('b200'), placement).covered).toBe(true);
});
