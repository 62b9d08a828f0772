/**
 * Random cases of every op with all variants, in a short run with a third of those that are taken unasked (all, where they
 * are few), against float64: a few an op, MOEBIUS_RUNS sets another number and MOEBIUS_SEED where they begin.
 * `moebius validate --fuzz` draws the same cases.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { onlyWhenNamed } from '../../src/kernels/own-budget.ts';
import { ops } from '../../src/ops/ops.ts';
import { drawCase } from '../../src/validate/draw/draw-case.ts';
import { fuzzOp } from '../../src/validate/draw/fuzz.ts';
import { someOf } from '../ops/one-per-shader.ts';
import { isThorough } from '../setup/full.ts';
import { testPlatform } from '../setup/gpu.ts';

const cases = Number(process.env.MOEBIUS_RUNS ?? (isThorough ? 4 : 1));
const seed = Number(process.env.MOEBIUS_SEED ?? 1);
const MS_PER_CASE = 4000;
/** Variants of which a short run takes a third: fewer have a shape that all of a third refuse. */
const MANY = 12;

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

test.each(ops.map((op, turn) => [op.name, op, turn] as const))(
  `%s: ${cases} random cases`,
  async (_name, op, turn) => {
    const unasked = op.variants.map(({ name }) => name).filter((name) => !onlyWhenNamed(op.name, name));
    const wanted = unasked.length < MANY ? unasked : someOf(unasked, turn + seed);
    const { failures, byVariant } = await fuzzOp(gpu, op, {
      ...{ cases, seed },
      ...(!isThorough && { wants: (_case, variant) => wanted.includes(variant) }),
    });
    expect(Object.keys(byVariant).length).toBeGreaterThan(0);
    expect(failures.slice(0, 5).map((f) => `${f.command}\n  ${f.name}, ${f.variant}: ${f.message}`)).toEqual(
      [],
    );
    expect(gpu.ledger.bytes).toBe(0);
    if (cases < 40) return;
    // Every variant that this adapter can run at all is met again and again.
    for (const count of Object.values(byVariant)) expect(count).toBeGreaterThanOrEqual(cases / 8);
  },
  60_000 + cases * MS_PER_CASE,
);

test('a seed gives the same case every time, and another seed another', () => {
  for (const op of ops) {
    const [a, b, c] = [drawCase(op, 7), drawCase(op, 7), drawCase(op, 8)];
    expect(a.name).toBe(b.name);
    expect([...(a.inputs?.().tensors ?? [])]).toEqual([...(b.inputs?.().tensors ?? [])]);
    expect(a.name).not.toBe(c.name);
  }
});

test('every attribute of every op is drawn with more than one value, every tensor with its dtypes', () => {
  for (const op of ops) {
    const drawn = Array.from({ length: 40 }, (_, i) => drawCase(op, 8 * i).inputs?.());
    for (const { name } of op.attrs) {
      expect(new Set(drawn.map((d) => d?.attrs.get(name))).size, `${op.name} ${name}`).toBeGreaterThan(1);
    }
    for (const { name, dtypes, optional } of op.inputs) {
      const met = new Set(drawn.map((d) => d?.tensors.get(name)?.dtype));
      const least = Math.min(2, dtypes.length) + Number(optional ?? false);
      expect(met.size, `${op.name} ${name}`).toBeGreaterThanOrEqual(least);
    }
  }
});
