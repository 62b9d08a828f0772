/** `project --cases` of operations, and `accuracy`, as the functions that they are. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { accuracy, project } from '../../src/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'cases-'));
function file(text: string): string {
  const path = join(folder, `${text.length}.csv`);
  writeFileSync(path, text);
  return path;
}

test('a row that cannot be projected says why, and the rest go on', async () => {
  const cases = file(
    'id,op,system,precision,m,n,k\na,gemm,H100-SXM,bf16,256,1024,1024\nb,gemm,h1000,bf16,1,1,1\nc,gemm,h100,bf16,,1,1\n',
  );
  const { cases: answers, csv } = await project({ cases });
  expect(answers[0]).toMatchObject({ tag: 'modelled', region: 'gemm h100_sxm bfloat16' });
  expect(answers[0]?.us).toBeGreaterThan(0);
  expect(answers[1]).toEqual({ note: expect.stringMatching(/no hardware "h1000"/) as string });
  expect(answers[2]).toEqual({ note: 'gemm needs m.' });
  const lines = csv.trim().split('\n');
  expect(lines[0]).toMatch(/^id,op,system,precision,m,n,k,.*us,low,high/);
  expect(lines).toHaveLength(4);
});

test('a model stands for the sizes of its layer', async () => {
  const cases = file(
    'op,hardware,dtype,tokens,model,hidden,inter,experts,topk\nmoe,h100,fp8_block,64,DeepSeek-V3,,,,\nmoe,h100,fp8_block,64,,7168,2048,256,8\n',
  );
  const { cases: answers } = await project({ cases });
  expect(answers[0]?.us).toBeGreaterThan(0);
  expect(answers[0]).toEqual(answers[1]);
});

test('columns that no case has are named, with what is near', async () => {
  await expect(project({ cases: file('op,hardware,colour,tokns\n') })).rejects.toThrow(/"colour", "tokns"/);
  await expect(project({ cases: file('op,hardware,tokns\n') })).rejects.toThrow(/did you mean "tokens"/);
  await expect(project({ cases: file('op,op\n') })).rejects.toThrow(/column "op" twice/);
  await expect(project({ cases: file('') })).rejects.toThrow(/is empty/);
});

test('"this adapter" needs a result', async () => {
  const { cases } = await project({ cases: file('op,hardware,m,n,k\ngemm,this adapter,1,1,1\n') });
  expect(cases[0]?.note).toMatch(/name one with --result/);
});

test('accuracy tells errors, coverage and the noise floor by region', () => {
  const { overall, regions } = accuracy({ region: 'h100_sxm all_reduce' });
  expect(regions.map(({ kind }) => kind)).toContain('all_reduce nccl');
  for (const { median, p90, covered } of [...overall, ...regions]) {
    expect(median).toBeGreaterThan(0);
    expect(p90).toBeGreaterThan(median);
    expect(covered).toBeGreaterThan(0.5);
    expect(covered).toBeLessThanOrEqual(1);
  }
  expect(overall[0]?.noise).not.toBeNull();
  expect(() => accuracy({ region: 'no such region' })).toThrow(/no region has "no such region"/);
});
