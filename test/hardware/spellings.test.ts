/** Cases as tools write them: spellings of hardware, models and formats, headings of both kinds in one table. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { project } from '../../src/index.ts';
import { dtypeNamed } from '../../src/hardware/dtypes.ts';
import { hardwareNamed } from '../../src/hardware/profiles/named.ts';
import { routingOf } from '../../src/hardware/routing-names.ts';
import { modelNamed } from '../../src/planner/models/named.ts';
import { precisionInName, precisionNamed } from '../../src/planner/serving/precision.ts';

test.each([
  ['H100-SXM5-80GB', 'h100_sxm'],
  ['NVIDIA H100 80GB HBM3', 'h100_sxm'],
  ['8xH100', 'h100_sxm'],
  ['H100-PCIe-80GB', 'h100_pcie'],
  ['NVIDIA A100-SXM4-80GB', 'a100_sxm'],
  ['b200-192gb-hbm3e', 'b200_sxm'],
  ['AMD Instinct MI300X OAM', 'mi300x'],
])('%s is %s', (spelling, name) => expect(hardwareNamed(spelling).name).toBe(name));

test.each(['A100-40GB', 'H100 NVL', 'H20-3e'])('%s is another GPU than those there are', (spelling) => {
  expect(() => hardwareNamed(spelling)).toThrow(/no hardware/);
});

test.each([
  ['dsr1-fp8', 'deepseek-r1'],
  ['nvidia/DeepSeek-R1-0528-NVFP4-v2', 'deepseek-r1'],
  ['gptoss-120b', 'gpt-oss-120b'],
  ['llama3.1-70b', 'llama-3.1-70b'],
  ['meta-llama/Llama-3.3-70B-Instruct', 'llama-3.3-70b'],
  ['MOE_Mixtral8x7B', 'mixtral-8x7b'],
  ['DeepSeek-V2-Lite-Chat', 'deepseek-v2-lite'],
  ['meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8', 'llama-4-maverick'],
])('%s is %s', (spelling, name) => expect(modelNamed(spelling).name).toBe(name));

test('formats of tables, and what a release says of its own', () => {
  expect(dtypeNamed('int8_wo')).toMatchObject({ weightBits: 8, multiplier: 'bf16' });
  expect(precisionNamed('w4a16_mxfp4')).toBe('fp4');
  expect(precisionNamed('int4_wo')).toBe('int4');
  expect(precisionInName('Qwen/Qwen3-235B-A22B-FP8')).toBe('fp8');
  expect(precisionInName('DeepSeek-R1')).toBeUndefined();
  expect(routingOf('power_law_1.2', 'balanced')).toEqual({
    skew: { kind: 'power-law', alpha: 1.2 },
    placed: false,
  });
  expect(routingOf('pl1.2-eplb', 'balanced').placed).toBe(true);
  expect(() => routingOf('skewed', 'balanced')).toThrow(/none of balanced/);
});

describe('a table', () => {
  const folder = mkdtempSync(join(tmpdir(), 'spellings-'));
  const answersOf = async (text: string) => {
    const path = join(folder, 'in.csv');
    writeFileSync(path, text);
    return project({ cases: path });
  };

  test('of operations and deployments: what is said counts, wherever its heading stands', async () => {
    const { cases, csv } = await answersOf(
      [
        'id,op,hardware,dtype,m,n,k,bytes,ranks,model,gpus,precision,isl,osl,concurrency,us',
        '"a, ""b""",gemm,h100,fp8,64,4096,4096,,,,,,,,,',
        'c,gemm,h100,,64,4096,4096,,,,,fp8,,,,7',
        'd,all_reduce,h100,half,,,,1048576,8,,,,,,,',
        'e,all_reduce,h100,half,,,,1048576,None,,8,,,,,',
        'f,serving,h100,,,,,,,mixtral-8x7b,2,fp8,64,8,2,',
        'g,gemm,h100,fp8,64,4096,4096,,,,,,,,,,1,2',
        'h,gemm,h100,fp8,0,4096,4096,,,,,,,,,',
      ].join('\r\n'),
    );
    const [a, c, d, e, f, g, h] = cases;
    expect(c?.us).toBe(a?.us);
    expect(e?.us).toBe(d?.us);
    expect(f?.tpot_ms).toBeGreaterThan(0);
    expect(g?.note).toMatch(/18 cells, the table 16 columns/);
    expect(h?.note).toMatch(/m is "0"/);
    for (const { us, tpot_ms, low, high } of [a, c, d, e, f].map((one) => one ?? {})) {
      expect(Number(low)).toBeLessThanOrEqual(Number(us ?? tpot_ms));
      expect(Number(high)).toBeGreaterThanOrEqual(Number(us ?? tpot_ms));
    }
    const lines = csv.trim().split('\n');
    expect(lines).toHaveLength(8);
    expect(lines[1]?.startsWith('"a, ""b""",gemm')).toBe(true);
    // What the file said of an answer's column is told anew, once.
    expect(lines[0]?.split(',').filter((name) => name === 'us')).toHaveLength(1);
  });

  test('an instance is as large as its model needs, and one token is the prompt alone', async () => {
    const { cases } = await answersOf(
      [
        'model,hardware,gpus,attn_tp,ep,precision,isl,osl,concurrency',
        'deepseek-r1,h100,16,,,fp8,64,4,1',
        'deepseek-r1,h200,,,,fp8,64,4,1',
        'deepseek-r1,h200,16,1,16,fp8,64,4,16',
        'mixtral-8x7b,h100,2,,,,64,1,1',
      ].join('\n'),
    );
    for (const { note } of cases.slice(0, 3)) expect(note).toMatch(/^modelled/);
    expect(cases[3]).toMatchObject({ tpot_ms: undefined });
    expect(cases[3]?.low).toBeLessThan(Number(cases[3]?.ttft_ms));
  });

  test('attention by the name of a model', async () => {
    const { cases } = await answersOf(
      [
        'op,hardware,dtype,batch,kv,heads,kv_heads,head_dim,model,tp',
        'attention-decode,h100,bf16,8,4096,8,1,128,,',
        'attention-decode,h100,bf16,8,4096,,,,llama-3.1-70b,8',
        'attention-decode,h200,bf16,8,4096,,,,deepseek-v3,8',
        'mla-decode,h200,bf16,8,4096,16,,,,',
      ].join('\n'),
    );
    expect(cases[1]?.us).toBe(cases[0]?.us);
    expect(cases[3]?.us).toBe(cases[2]?.us);
  });
});
