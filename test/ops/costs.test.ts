/** FLOP and bytes of every op, by hand: rates, shares of the roofline and tuning keys rest on them. */
import { describe, expect, test } from 'vitest';
import { product } from '../../src/core/math.ts';
import type { AttrValue } from '../../src/ops/op.ts';
import { budgetOf } from '../../src/ops/budgets.ts';
import { inputsOf, opByName } from '../../src/ops/ops.ts';
import { quantisedTensors } from '../../src/ops/quantised-inputs.ts';
import { quantise } from '../../src/tensor/quantise.ts';
import { castFloat, f32Tensor, tensor, type Tensor } from '../../src/tensor/tensor.ts';

const ones = (...shape: number[]): Tensor => f32Tensor(shape, Array<number>(product(shape)).fill(1));
const halves = (...shape: number[]): Tensor => castFloat(ones(...shape), 'f16');
const integers = (shape: number[], values: number[]): Tensor => tensor('i32', shape, Int32Array.from(values));

function costOf(
  name: string,
  tensors: Readonly<Record<string, Tensor>>,
  attrs: Readonly<Record<string, AttrValue>> = {},
): { flops: number; bytes: number } {
  const op = opByName(name);
  const { flops, bytes } = op.cost(inputsOf(op, tensors, attrs));
  return { flops, bytes };
}

describe('matmul of 3 rows, 5 columns, K = 4', () => {
  test('2 FLOP a multiply-add; both inputs and the product in f32', () => {
    expect(costOf('matmul', { a: ones(3, 4), b: ones(5, 4) })).toEqual({
      flops: 2 * 3 * 5 * 4,
      bytes: 4 * (12 + 20 + 15),
    });
  });

  test('all in f16 moves half of it', () => {
    expect(costOf('matmul', { a: halves(3, 4), b: halves(5, 4) }).bytes).toBe(2 * (12 + 20 + 15));
  });

  test('int8 weights are a byte each and a scale of 4 bytes per row', () => {
    const b = quantisedTensors('b', quantise(ones(5, 4), 'int8'));
    expect(costOf('matmul', { a: ones(3, 4), ...b })).toEqual({ flops: 120, bytes: 48 + 20 + 20 + 60 });
  });
});

describe('moe of 2 tokens, D = 4, 3 experts of F = 5, k = 1', () => {
  const [w1, w3, w2] = [ones(3, 5, 4), ones(3, 5, 4), ones(3, 4, 5)];
  const x = ones(2, 4);
  /** Both tokens choose the last expert. */
  const logits = f32Tensor([2, 3], [0, 1, 2, 0, 1, 2]);
  const [xBytes, yBytes, logitBytes] = [32, 32, 24];

  test('three products a row, one sum of a score and a row; weights of the one expert that is used', () => {
    expect(costOf('moe', { x, logits, w1, w3, w2 }, { k: 1 })).toEqual({
      flops: 2 * (3 * 2 * 4 * 5) + 2 * 2 * 4,
      bytes: xBytes + logitBytes + yBytes + 3 * (4 * 20),
    });
  });

  test('two products without w3', () => {
    expect(costOf('moe', { x, logits, w1, w2 }, { k: 1 })).toEqual({
      flops: 2 * (2 * 2 * 4 * 5) + 2 * 2 * 4,
      bytes: xBytes + logitBytes + yBytes + 2 * (4 * 20),
    });
  });

  test('k = 2 doubles rows and the experts that are read', () => {
    expect(costOf('moe', { x, logits, w1, w3, w2 }, { k: 2 })).toEqual({
      flops: 4 * (3 * 2 * 4 * 5) + 4 * 2 * 4,
      bytes: xBytes + logitBytes + yBytes + 2 * 3 * (4 * 20),
    });
  });

  test('experts are those of all tokens together', () => {
    const apart = f32Tensor([2, 3], [2, 1, 0, 0, 1, 2]);
    expect(costOf('moe', { x, logits: apart, w1, w3, w2 }, { k: 1 }).bytes).toBe(
      xBytes + logitBytes + yBytes + 2 * 3 * (4 * 20),
    );
  });

  test('a gate in place of logits is a product too', () => {
    const gate = f32Tensor([3, 4], [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
    expect(costOf('moe', { x, gate, w1, w3, w2 }, { k: 1 })).toEqual({
      flops: 2 * (3 * 2 * 4 * 5) + 2 * 2 * 4 + 2 * 2 * 3 * 4,
      bytes: xBytes + 48 + yBytes + 3 * (4 * 20),
    });
  });
});

describe('attention of 2 sequences, 2 queries of 3 keys, 4 heads of 8 on 2', () => {
  const [q, k, v] = [ones(2, 2, 4, 8), ones(2, 3, 2, 8), ones(2, 3, 2, 8)];
  /** q and o, k and v. */
  const bytes = 4 * (2 * 128 + 2 * 96);

  test.each([
    ['causal: 2 and 3 keys', {}, 5],
    ['all see all', { causal: 0 }, 6],
    ['a window of 2', { window: 2 }, 4],
    ['a window of 1', { window: 1 }, 2],
    ['a window as long as the keys', { window: 3 }, 5],
  ])('%s', (_what, attrs, pairs) => {
    expect(costOf('attention', { q, k, v }, attrs)).toEqual({ flops: 4 * 2 * 4 * 8 * pairs, bytes });
  });

  test('a cache in f16 is half as much, q and o are not', () => {
    const half = { q, k: halves(2, 3, 2, 8), v: halves(2, 3, 2, 8) };
    expect(costOf('attention', half).bytes).toBe(4 * 2 * 128 + 2 * 2 * 96);
  });
});

describe('paged attention of sequences of 5 and 3 keys, 2 queries each, pages of 4', () => {
  const tensors = {
    q: ones(2, 2, 4, 8),
    k_pages: ones(9, 4, 2, 8),
    v_pages: ones(9, 4, 2, 8),
    block_table: integers([2, 2], [7, 1, 2, -1]),
    kv_lengths: integers([2], [5, 3]),
  };

  test('counts keys that are there, not the pages that could be', () => {
    const pairs = 4 + 5 + (2 + 3);
    expect(costOf('paged-attention', tensors)).toEqual({
      flops: 4 * 4 * 8 * pairs,
      bytes: 4 * (2 * 128) + 2 * (5 + 3) * 2 * 8 * 4,
    });
  });

  test('keys before the window are not read', () => {
    expect(costOf('paged-attention', tensors, { window: 2 })).toEqual({
      flops: 4 * 4 * 8 * 8,
      bytes: 4 * (2 * 128) + 2 * (2 + 2) * 2 * 8 * 4,
    });
  });
});

test('tp-attention: four projections, scores of a causal pass, and the sums of the ranks', () => {
  const [rows, modelDim] = [2 * 3, 5];
  const tensors = {
    x: ones(2, 3, 5),
    ...{ wq: ones(8, 5), wk: ones(4, 5), wv: ones(4, 5), wo: ones(5, 8) },
  };
  const projections = 2 * rows * modelDim * (8 + 4 + 4 + 8);
  const scores = 4 * 2 * (1 + 2 + 3) * 8;
  const bytes = 4 * (2 * 30 + 40 + 20 + 20 + 40);
  const attrs = { heads: 4, kv_heads: 2 };
  expect(costOf('tp-attention', tensors, attrs)).toEqual({ flops: projections + scores, bytes });
  expect(costOf('tp-attention', tensors, { ...attrs, tp: 2 })).toEqual({
    flops: projections + scores + rows * modelDim,
    bytes,
  });
});

test('rms-norm of 3 rows of 4: 4 FLOP an element, 5 with the residual, whose sum is written too', () => {
  const [x, weight] = [ones(3, 4), ones(4)];
  expect(costOf('rms-norm', { x, weight })).toEqual({ flops: 4 * 12, bytes: 4 * (12 + 4 + 12) });
  expect(costOf('rms-norm', { x, weight, residual: ones(3, 4) })).toEqual({
    flops: 5 * 12,
    bytes: 4 * (12 + 4 + 12 + 2 * 12),
  });
});

test('rope: 6 FLOP a pair, each element read and written once', () => {
  expect(costOf('rope', { x: ones(1, 2, 3, 4) })).toEqual({ flops: 6 * 12, bytes: 4 * (24 + 24) });
});

test('gate-topk: ids are 4 bytes, scores as the logits', () => {
  expect(costOf('gate-topk', { logits: ones(2, 3) }, { k: 2 })).toEqual({
    flops: 2 * 3 * 4,
    bytes: 4 * 6 + 4 * (4 + 4),
  });
  expect(costOf('gate-topk', { logits: halves(2, 3) }, { k: 2 }).bytes).toBe(2 * 6 + 4 * (4 + 2));
});

test('outputs in f16 may be off by half a unit in their last place, not more', () => {
  const budget = budgetOf(Float64Array.of(1, 1024, 0), 0, 'f16');
  if (!('perElement' in budget)) throw new Error('no budget per element');
  expect(budget.perElement[0]).toBeCloseTo(2 ** -11, 7);
  expect(budget.perElement[1]).toBeCloseTo(0.5, 6);
  expect(budget.perElement[2]).toBeLessThan(2 ** -24);
});
