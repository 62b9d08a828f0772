/** Operations as rows of a table. */
import { expect, test } from 'vitest';
import { opColumn } from '../../src/hardware/case-columns.ts';
import { projectOp, queryOf } from '../../src/hardware/cases.ts';

test.each([
  ['Hidden_Size', 'hidden'],
  ['gpus', 'ranks'],
  ['system', 'hardware'],
  ['top_k', 'topk'],
  ['tokens_per_gpu', 'tokens'],
  ['colour', undefined],
])('%s is the column %s', (heading, column) => expect(opColumn(heading)).toBe(column));

test.each([
  [
    { op: 'GEMM', m: '1', n: '2', k: '3', dtype: 'fp8' },
    { op: 'gemm', m: 1, n: 2, k: 3, dtype: 'fp8' },
  ],
  [
    { op: 'all-reduce', bytes: '8', ranks: '2' },
    { op: 'all_reduce', bytes: 8, ranks: 2 },
  ],
  [
    { op: 'moe', tokens: '8', model: 'toy', routing: 'zipf:1.2' },
    { op: 'moe', hidden: 4, experts: 8, skew: { kind: 'zipf', alpha: 1.2 } },
  ],
  [
    { op: 'ep_dispatch', tokens: '8', hidden: '4', experts: '8', topk: '2', ranks: '8', mode: 'LL' },
    { op: 'ep-dispatch', mode: 'low-latency' },
  ],
])('%o', (row, query) => {
  const moe = { inter: 8, experts: 8, topk: 2 };
  const shapeOf = () => ({ hidden: 4, moe, heads: 8, kvHeads: 2, headDim: 4, latent: false });
  expect(queryOf(row, shapeOf)).toMatchObject(query);
});

test.each([
  [{ op: 'gemmm' }, /no op "gemmm" \(did you mean "gemm"\?\)/],
  [{ op: 'gemm', m: '1', n: '2' }, /gemm needs k/],
  [{ op: 'gemm', m: '-1', n: '2', k: '3' }, /m is "-1"; it must be a positive number/],
  [{ op: 'gemm', m: '1', n: '2', k: '3' }, /gemm needs hardware/],
  [{ op: 'gemm', m: '1', n: '2', k: '3', hardware: 'h1OO' }, /no hardware/],
])('%o is refused', (row, message) => expect(() => projectOp(row)).toThrow(message));

test('an exchange of nodes without ranks is of all their GPUs', () => {
  const row = {
    op: 'ep-dispatch',
    tokens: '64',
    hidden: '7168',
    experts: '256',
    topk: '8',
    hardware: 'h100',
  };
  const { us } = projectOp({ ...row, nodes: '2' });
  expect(us).toBe(projectOp({ ...row, nodes: '2', ranks: '16' }).us);
});

test('what comes back from experts is bfloat16, whatever they compute in', () => {
  const row = { tokens: '4096', hidden: '7168', experts: '256', topk: '8', hardware: 'gb200', ep: '8' };
  const us = (op: string, dtype: string) => projectOp({ ...row, op, dtype, mode: 'two-sided' }).us;
  expect(us('ep-combine', 'nvfp4')).toBe(us('ep-combine', 'bfloat16'));
  expect(us('ep-dispatch', 'nvfp4')).toBeLessThan(0.6 * us('ep-dispatch', 'bfloat16'));
});
