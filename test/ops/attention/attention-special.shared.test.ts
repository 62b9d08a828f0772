/** NaN and Inf in attention: every variant gives them exactly where float64 does, and what is masked takes no part. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { at } from '../../../src/core/math.ts';
import { type Random, seededRandom } from '../../../src/core/random.ts';
import { type Gpu, openGpu } from '../../../src/gpu/gpu.ts';
import { inputsOf, opByName, runOp } from '../../../src/ops/ops.ts';
import { castFloat, f32Tensor, type Tensor, toF32, toF64 } from '../../../src/tensor/tensor.ts';
import { drawPages } from '../../../src/validate/draw/draw-pages.ts';
import { maker } from '../../../src/validate/draw/maker.ts';
import { isThorough } from '../../setup/full.ts';
import { testPlatform } from '../../setup/gpu.ts';
import { onePerShader } from '../one-per-shader.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

type Tensors = Record<string, Tensor>;

/** What differs from the op's own float64, by variant; NaN for NaN, Inf for Inf, else within its budget. */
async function faults(name: string, tensors: Tensors, attrs: Record<string, number>): Promise<string[]> {
  const op = opByName(name);
  const inputs = inputsOf(op, tensors, attrs);
  const expected = op.reference(inputs).get('o');
  const allowed = expected && 'perElement' in expected.budget ? expected.budget.perElement : [];
  const found: string[] = [];
  for (const variant of onePerShader(op.able(gpu, inputs))) {
    const o = (await runOp(gpu, name, inputs.tensors, attrs, variant)).get('o');
    const got = o === undefined ? [] : toF64(o);
    expected?.values.forEach((want, i) => {
      const value = got[i] ?? 0;
      const right = Number.isFinite(want)
        ? Math.abs(value - want) <= at(allowed, i)
        : Object.is(value, want) || (Number.isNaN(want) && Number.isNaN(value));
      if (!right) found.push(`${variant}: o[${i}] is ${value}, not ${want}`);
    });
  }
  return found;
}

/** Some elements become NaN or infinite: few, so that most rows stay finite somewhere. */
function poisoned(random: Random, t: Tensor, share: number): Tensor {
  const special = [NaN, Infinity, -Infinity];
  return f32Tensor(
    t.shape,
    toF32(t).map((v) => (random.uniform() < share ? at(special, random.integer(3)) : v)),
  );
}

interface Kind {
  readonly paged?: boolean;
  readonly half?: boolean;
  readonly softcap?: number;
  readonly sinks?: boolean;
}

function drawn(seed: number, { paged = false, half = false, softcap = 0, sinks = false }: Kind) {
  const random = seededRandom(seed);
  const make = maker(`special ${seed}`);
  const [batch, kvHeads, dim] = [1 + random.integer(2), 1 + random.integer(2), 8];
  const heads = kvHeads * (1 + random.integer(2));
  const queries = 1 + random.integer(random.integer(2) === 0 ? 4 : 40);
  const keys = queries + random.integer(random.integer(2) === 0 ? 40 : 300);
  const window = random.integer(2) * (1 + random.integer(keys));
  const causal = paged || window > 0 || random.integer(3) > 0;
  const share = at([0.5, 3, 20], random.integer(3)) / (keys * dim);
  const draw = (shape: readonly number[], own = share): Tensor => poisoned(random, make.normal(shape), own);
  const kept = (t: Tensor): Tensor => (half ? castFloat(t, 'f16') : t);
  const attrs = { window, softcap };
  const ofHeads = sinks ? { sinks: draw([heads], 0.3) } : {};
  const q = draw([batch, queries, heads, dim], share / 8);
  if (!paged) {
    const [k, v] = [
      kept(draw([batch, keys, kvHeads, dim], share / 8)),
      kept(draw([batch, keys, kvHeads, dim])),
    ];
    return {
      name: 'attention',
      tensors: { q, k, v, ...ofHeads },
      attrs: { ...attrs, causal: Number(causal) },
    };
  }
  const pageSize = at([1, 4, 16], random.integer(3));
  const perSequence = Math.ceil(keys / pageSize);
  const numPages = batch * perSequence + 1;
  const pages = (own: number): Tensor => kept(draw([numPages, pageSize, kvHeads, dim], own));
  const rows = { k_pages: pages(share / 8), v_pages: pages(share) };
  const table = drawPages(make, { batch, queries, numPages, pageSize, perSequence });
  return { name: 'paged-attention', tensors: { q, ...rows, ...table, ...ofHeads }, attrs };
}

describe.each<[string, Kind]>([
  ['keys in a row', {}],
  ['a soft cap and sinks', { softcap: 3, sinks: true }],
  ['keys in pages', { paged: true }],
  ['halves in pages, a soft cap and sinks', { paged: true, half: true, softcap: 3, sinks: true }],
])('%s', (_name, kind) => {
  test('NaN and Inf are where float64 has them, in every variant', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 }), async (seed) => {
        const { name, tensors, attrs } = drawn(seed, kind);
        expect(await faults(name, tensors, attrs)).toEqual([]);
      }),
      { numRuns: isThorough ? 12 : 3, seed: 8, endOnFailure: true },
    );
  });
});

/** Heads of 8 with a soft cap and sinks, which the property above has compiled. */
function qkv(make: ReturnType<typeof maker>, queries: number, keys: number): Tensors {
  const of = (length: number, heads: number): Tensor => make.normal([1, length, heads, 8]);
  return { q: of(queries, 2), k: of(keys, 1), v: of(keys, 1) };
}

const noSink = f32Tensor([2], [-Infinity, -Infinity]);

test.each([1e-30, 1e-3, 0.7, 5, 50, 1e6, 1e30, 1e37])(
  'soft cap %d: the weights of float64',
  async (softcap) => {
    const tensors = { ...qkv(maker(`cap ${softcap}`), 5, 60), sinks: noSink };
    expect(await faults('attention', tensors, { softcap })).toEqual([]);
    expect(await faults('attention', tensors, { softcap, scale: 1.5 })).toEqual([]);
  },
);

test.each([1e6, 1e37])('a soft cap of %d and a sink of -Inf change nothing', async (softcap) => {
  const tensors = qkv(maker('no cap'), 5, 60);
  const op = opByName('attention');
  const want = op.reference(inputsOf(op, tensors)).get('o')?.values ?? [];
  const capped = inputsOf(op, { ...tensors, sinks: noSink }, { softcap });
  for (const variant of onePerShader(op.able(gpu, capped))) {
    const got = (await runOp(gpu, 'attention', capped.tensors, { softcap }, variant)).get('o');
    for (let i = 0; i < want.length; i++) {
      expect(Math.abs(at(got?.data ?? [], i) - at(want, i)), `${variant} ${i}`).toBeLessThan(1e-5);
    }
  }
});

test.each([0, -1, 1e-30, 1e-37, 40, 1e30, -1e35])('scale %d: the weights of float64', async (scale) => {
  expect(await faults('attention', qkv(maker(`scale ${scale}`), 5, 60), { scale })).toEqual([]);
});

test.each([1, 5])(
  '%i queries: sums of values near the end of f32 leave it, their means do not',
  async (queries) => {
    const { q, k, v } = qkv(maker('large'), queries, 60) as { q: Tensor; k: Tensor; v: Tensor };
    const large = f32Tensor(
      v.shape,
      toF32(v).map((x, i) => (i === 9 ? 1 : Math.sign(x) * 3e38)),
    );
    expect(await faults('attention', { q, k, v: large }, { scale: 40 })).toEqual([]);
    expect(
      await faults('attention', { q, k, v: f32Tensor(v.shape, toF32(v).fill(3e38)) }, { scale: 0 }),
    ).toEqual([]);
  },
);

test.each([1, 3, 20])('what %i queries do not see may hold anything', async (queries) => {
  const { q, k, v } = qkv(maker(`hidden ${queries}`), queries, 77) as { q: Tensor; k: Tensor; v: Tensor };
  // The last key is seen by the last query alone; with a window of 30 the first 10 keys are seen by none of the last 48.
  const hide = (t: Tensor, value: number): Tensor =>
    f32Tensor(
      t.shape,
      toF32(t).map((x, i) => (i >= 76 * 8 || i < 10 * 8 ? value : x)),
    );
  for (const value of [NaN, Infinity, -Infinity]) {
    const tensors = { q, k, v: hide(v, value) };
    expect(await faults('attention', tensors, { window: 30 })).toEqual([]);
    expect(await faults('attention', { ...tensors, k: hide(k, value) }, { window: 30 })).toEqual([]);
  }
});
