/** Tensors without elements may claim any size beside their 0: nothing may be made of such a claim. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { product } from '../../src/core/math.ts';
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { parseAttrs } from '../../src/ops/attrs.ts';
import type { AttrValue, Op } from '../../src/ops/op.ts';
import { inputsOf, opByName, ops, runOp } from '../../src/ops/ops.ts';
import { dimNames } from '../../src/ops/shapes.ts';
import { f32Tensor, tensor, type Tensor } from '../../src/tensor/tensor.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

const none = (...shape: number[]): Tensor => f32Tensor(shape, new Float32Array(0));
const ones = (...shape: number[]): Tensor => f32Tensor(shape, new Float32Array(product(shape)).fill(1));
const HUGE = 2 ** 28;
const BEYOND = 2 ** 40;

const EMPTY: readonly (readonly [string, Record<string, Tensor>, Record<string, AttrValue>, number[]])[] = [
  ['rope', { x: none(0, HUGE, 1, 4) }, {}, [0, HUGE, 1, 4]],
  ['rope', { x: none(0, BEYOND, BEYOND, 4) }, {}, [0, BEYOND, BEYOND, 4]],
  ['attention', { q: none(0, HUGE, 1, 4), k: none(0, HUGE, 1, 4), v: none(0, HUGE, 1, 4) }, {}, [0, HUGE, 1, 4]],
  ['attention', { q: none(0, 1, 1, 4), k: none(0, BEYOND, 1, 4), v: none(0, BEYOND, 1, 4) }, {}, [0, 1, 1, 4]],
  ['attention', { q: none(BEYOND, 0, 1, 4), k: none(BEYOND, 0, 1, 4), v: none(BEYOND, 0, 1, 4) }, { causal: false }, [BEYOND, 0, 1, 4]],
  ['tp-attention', { x: none(0, HUGE, 4), wq: ones(4, 4), wk: ones(4, 4), wv: ones(4, 4), wo: ones(4, 4) }, { heads: 2, tp: 2 }, [0, HUGE, 4]],
  ['matmul', { a: none(0, 4), b: ones(3, 4) }, {}, [0, 3]],
]; // prettier-ignore

test.each(EMPTY)('%s of %o is empty', async (name, tensors, attrs, shape) => {
  const outputs = await runOp(gpu, name, new Map(Object.entries(tensors)), attrs);
  expect([...outputs.values()]).toEqual([none(...shape)]);
  const op = ops.find((o) => o.name === name) as Op;
  const inputs = inputsOf(op, tensors, attrs);
  expect([...op.reference(inputs).values()].map(({ values, shape: of }) => [values.length, of])).toEqual([
    [0, shape],
  ]);
  expect(op.cost(inputs).flops).toBe(0);
  await expect(op.prepare(gpu, inputs, 'nonsense')).rejects.toThrow(/has no variant "nonsense"/);
});

test('data that is not what its tensor says is refused', async () => {
  const short = { dtype: 'f32', shape: [2, 2], data: new Float32Array(3) } as const;
  const wide = { dtype: 'f32', shape: [2, 2], data: new Float64Array(4) } as const;
  for (const a of [short, wide]) {
    const given = runOp(gpu, 'matmul', new Map<string, Tensor>([['a', a], ['b', ones(2, 2)]])); // prettier-ignore
    await expect(given).rejects.toThrow(
      /a of shape \[2, 2\] needs 4 elements, but 3 were given|a of f32 needs a Float32Array, but a Float64Array/,
    );
    await expect(given).rejects.toThrow(ConfigError);
  }
});

test.each([
  [['k=1', 'scale=1e39'], /scale is "1e39", which f32 cannot hold/],
  [['k=1', 'alpha=-1e-40'], /alpha is "-1e-40", which f32 cannot hold/],
  [['k=1', `score=${'x'.repeat(5e6)}`], /^.{1,300}$/],
  [[`${'x'.repeat(5e6)}=1`], /^.{1,300}$/],
  [['x'.repeat(5e6)], /^.{1,300}$/],
])('attributes beyond f32 and of megabytes are refused in a line or two', (words, message) => {
  expect(() => parseAttrs(opByName('moe'), words)).toThrow(message);
});

const REQUIRED: Readonly<Record<string, Record<string, AttrValue>>> = {
  'gate-topk': { k: 1 },
  moe: { k: 1 },
  'tp-attention': { heads: 1 },
};

/** Any sizes by name of dimension; tensors with more than a few elements are left out of the draw. */
const drawn = fc.constantFrom(...ops).chain((op) => {
  const names = [...new Set(op.inputs.flatMap((rule) => dimNames(rule.dims)))];
  const sizes = fc.constantFrom(0, 1, 2, 4, HUGE, BEYOND, Number.MAX_SAFE_INTEGER);
  return fc.record({
    op: fc.constant(op),
    dims: fc
      .tuple(...names.map(() => sizes))
      .map((all) => new Map(names.map((name, i) => [name, all[i] ?? 0]))),
    given: fc.tuple(...op.inputs.map(() => fc.boolean())),
  });
});

test('any sizes of any op give its outputs or a ConfigError in a line or two', async () => {
  await fc.assert(
    fc.asyncProperty(drawn, async ({ op, dims, given }) => {
      const tensors = new Map<string, Tensor>();
      for (const [i, rule] of op.inputs.entries()) {
        if (rule.optional && given[i] !== true) continue;
        const shape = dimNames(rule.dims).map((name) => dims.get(name) ?? 0);
        fc.pre(product(shape) <= 256);
        const integers = rule.dtypes.includes('i32');
        tensors.set(
          rule.name,
          integers ? tensor('i32', shape, new Int32Array(product(shape))) : ones(...shape),
        );
      }
      try {
        const inputs = inputsOf(op, tensors, REQUIRED[op.name]);
        op.check(inputs);
        const expected = [...op.reference(inputs).values()];
        for (const { values, shape } of expected) expect(values.length).toBe(product(shape));
        expect(op.cost(inputs).flops).toBeGreaterThanOrEqual(0);
        // Kernels for what has elements are compiled elsewhere.
        if (expected.some(({ values }) => values.length > 0)) return;
        for (const t of (await runOp(gpu, op.name, tensors, REQUIRED[op.name])).values()) {
          expect(t.data.length).toBe(0);
        }
      } catch (error) {
        expect(error, `${op.name} ${JSON.stringify([...dims])}`).toBeInstanceOf(ConfigError);
        expect((error as Error).message.length).toBeLessThan(500);
      }
    }),
    { numRuns: 300 },
  );
});
