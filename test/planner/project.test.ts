/** Projections: memory by hand, the verb's table row by row, published rates within a factor. */
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { csvParse } from 'd3-dsv';
import { describe, expect, test } from 'vitest';
import { project } from '../../src/cli/verbs/plan/project.ts';
import type { DeploymentReport } from '../../src/cli/verbs/plan/deployment.ts';
import { renderDeployment } from '../../src/cli/verbs/plan/deployment.ts';
import { sum } from '../../src/core/math.ts';
import { hardwareNamed } from '../../src/hardware/profiles/named.ts';
import { modelNamed } from '../../src/planner/models/named.ts';
import { projectRow, type ServingRow } from '../../src/planner/project/serving-case.ts';
import { rankLedger } from '../../src/planner/serving/ledger.ts';

test('the ledger of Llama 3.1 8B on one GPU: weights and a position by hand', () => {
  const ledger = rankLedger({
    model: modelNamed('llama-3.1-8b'),
    hardware: hardwareNamed('h100'),
    placement: { attnTp: 1, attnDp: 1, pp: 1, moeTp: 1, ep: 1, replicas: 1, gpusPerNode: 8 },
    precision: 'bf16',
    framework: { maxTokens: 8192, memoryShare: 0.9 },
  });
  // Norms apart: they are 0.27 million of 8.03 billion.
  expect(ledger.weights).toBe(2 * (8030261248 - 65 * 4096));
  expect(ledger.cachePerPosition).toBe(131072);
  expect(ledger.capacity % ledger.positionsPerPage).toBe(0);
  expect(
    ledger.weights + ledger.staging + ledger.communication + ledger.capacity * 131072,
  ).toBeLessThanOrEqual(0.9 * 81559 * 2 ** 20);
});

test('staging is two buffers of rows and those of a layer, communication one out and one in', () => {
  const ledgerOf = (model: string, attnTp: number, attnDp: number) =>
    rankLedger({
      ...{ model: modelNamed(model), hardware: hardwareNamed('h200'), precision: 'fp8' },
      placement: { attnTp, attnDp, pp: 1, moeTp: 1, ep: attnTp * attnDp, replicas: 1, gpusPerNode: 8 },
      framework: { maxTokens: 1000, memoryShare: 0.9 },
    });
  const rows = 1000 * 7168 * 2;
  const ledger = ledgerOf('deepseek-v3', 1, 8);
  expect(ledger.stagingBuffers).toEqual([
    { name: 'staging/rows between layers', bytes: rows, count: 2 },
    { name: 'staging/rows of experts', bytes: 8 * rows, count: 1 },
  ]);
  // Each token goes to 8 experts, at most one on each of 8 ranks.
  expect(ledger.communicationBuffers.map(({ bytes }) => bytes)).toEqual([8 * rows, 8 * rows]);
  expect([ledger.staging, ledger.communication]).toEqual([10 * rows, 16 * rows]);
  expect(ledgerOf('deepseek-v3', 8, 1).communication).toBe(2 * rows);
  expect(ledgerOf('deepseek-v3', 1, 1).communicationBuffers).toEqual([]);
});

const of = (row: ServingRow) => projectRow(row, modelNamed);

test("DeepSeek's own figures on H800: prefill of 32 GPUs, decode of 128", () => {
  // 7,839 and 2,325 tokens/s/GPU by their traces (LMSYS, 2025-05-05), balanced routing.
  const common = {
    model: 'deepseek-v3',
    hardware: 'h800',
    attn_tp: '1',
    precision: 'fp8',
    routing: 'balanced',
    isl: '4096',
  };
  const prefill = of({
    ...common,
    gpus: '32',
    attn_dp: '32',
    ep: '32',
    phase: 'prefill',
    batch_per_gpu: '4',
  });
  const decode = of({
    ...common,
    gpus: '128',
    attn_dp: '128',
    ep: '128',
    phase: 'decode',
    osl: '256',
    batch_per_gpu: '128',
  });
  // Bounds are guesses; no run that the figures are fitted to crosses nodes.
  expect((prefill.cells.in_tok_s_gpu?.value ?? NaN) / 7839).toBeGreaterThan(0.65);
  expect((prefill.cells.in_tok_s_gpu?.value ?? NaN) / 7839).toBeLessThan(1.4);
  const rate = (decode.cells.out_tok_s_gpu?.value ?? NaN) / 2325;
  expect(rate).toBeGreaterThan(0.7);
  expect(rate).toBeLessThan(1.5);
});

test('empty columns are derived: EP of the whole stage, replicas from the GPUs', () => {
  const { projection } = of({
    model: 'qwen3-30b-a3b',
    hardware: 'h100',
    gpus: '4',
    attn_tp: '2',
    ep: '2',
    concurrency: '4',
    osl: '8',
  });
  expect(projection.gpus).toBe(4);
});

test('groups of attention that a row leaves out are as many as the model needs to fit', () => {
  const { projection } = of({
    ...{ model: 'deepseek-r1', hardware: 'h200', gpus: '16', attn_tp: '2', moe_tp: '1', precision: 'fp8' },
    ...{ isl: '64', osl: '4', concurrency: '4' },
  });
  // Two GPUs would hold 337 GB each; four groups of two are the fewest that hold it, and two such instances 16 GPUs.
  expect(projection.gpus).toBe(16);
  expect(projection.ledger.weights).toBeLessThan(141e9);
});

test.each([
  [
    { model: 'deepseek-r1', hardware: 'h100', gpus: '8', attn_tp: '8', precision: 'bf16' },
    /short of \d+ bytes.*Try about \d+ times/,
  ],
  [
    { model: 'deepseek-r1', hardware: 'h200', gpus: '8', attn_tp: '8', moe_tp: '3', ep: '4' },
    /moe_tp 3 x ep 4 = 12 is not/,
  ],
  [{ model: 'deepseek-r1', hardware: 'h200', gpus: '12', attn_tp: '8' }, /12 GPUs are no multiple/],
  [{ model: 'deepseek-r1', hardware: 'h200', attn_tp: '3' }, /TP 3 does not divide the 128 heads/],
  [{ model: 'llama-3.1-8b', hardware: 'h100', concurrency: '-1' }, /concurrency is "-1"/],
  [{ model: 'llama-3.1-8b', hardware: 'h100', batch_per_gpu: 'NaN' }, /batch_per_gpu is "NaN"/],
  [{ model: 'llama-3.1-8b', hardware: 'h100', routing: 'zipf:9' }, /routing "zipf:9"/],
  [{ model: 'llama-3.1-8b', hardware: 'h100', phase: 'decod' }, /phase is "decod"/],
  [{ model: 'llama-3.1-8b', hardware: 'h10' }, /no hardware "h10"/],
  [{ hardware: 'h100' }, /names no model/],
] as [ServingRow, RegExp][])('%o is refused', (row, message) => {
  expect(() => of(row)).toThrow(message);
});

test('a table: a row that cannot be projected says why, and the rest go on', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'moebius-'));
  const cases = join(folder, 'in.csv');
  await writeFile(
    cases,
    'id,op,model,hardware,gpus,attn_tp,isl,osl,concurrency,dtype,m,n,k\n' +
      'a,,llama-3.1-8b,H100-SXM,1,1,256,32,4,,,,\nb,,nothing,h100,,,,,,,,,\nc,gemm,,h100_sxm,,,,,,bf16,64,4096,4096\n',
  );
  const report = await project({ cases });
  const [a, b, c] = csvParse(report.csv);
  expect(Number(a?.tpot_ms)).toBeGreaterThan(1);
  expect(Number(a?.low)).toBeLessThan(Number(a?.tpot_ms));
  expect(Number(a?.high)).toBeGreaterThan(Number(a?.tpot_ms));
  expect(b?.note).toMatch(/no model "nothing"/);
  expect(Number(c?.us)).toBeGreaterThan(0);
  await writeFile(cases, 'id,modell\na,b\n');
  await expect(project({ cases })).rejects.toThrow(/"modell".*did you mean "model"/);
});

describe('one deployment', () => {
  test('tells cells with intervals, shares that sum to one, in 80 columns', async () => {
    const report = (await project({
      model: 'mixtral-8x7b',
      hardware: 'h200',
      layout: 'ep=2,tp=2',
      isl: 256,
      osl: 32,
      concurrency: 4,
    })) as DeploymentReport;
    expect(sum(Object.values(report.shares))).toBeCloseTo(1, 9);
    for (const { value, low, high, tag } of Object.values(report.cells)) {
      expect(low < value && value < high).toBe(true);
      expect(tag).toBe('modelled');
    }
    expect(
      renderDeployment(report)
        .split('\n')
        .filter((line) => line.length > 80),
    ).toEqual([]);
  });

  test('takes a config.json and a trace', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'moebius-'));
    const model = join(folder, 'config.json');
    const trace = join(folder, 'trace.csv');
    const file = JSON.parse(await readFile('bench/models/tiny-moe/config.json', 'utf8')) as object;
    await writeFile(model, JSON.stringify(file));
    await writeFile(trace, 'arrival_s,input_tokens,output_tokens\n0,20,5\n0.1,30,6\n');
    const report = (await project({ model, hardware: 'h100', layout: 'ep=1', trace })) as DeploymentReport;
    expect(report.percentiles.requests).toBe(2);
  });

  test('a machine that nobody measured is assumed', async () => {
    const report = (await project({
      model: 'llama-3.1-8b',
      hardware: 'mi300x',
      layout: 'ep=1',
      osl: 8,
      concurrency: 2,
    })) as DeploymentReport;
    expect(report.cells.tpot_ms).toMatchObject({ tag: 'assumed' });
  });
});
