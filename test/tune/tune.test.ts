/** Tuning on a real adapter, small: what is kept, what is dropped, and that a wrong kernel is never timed. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { observe } from '../../src/measure/observe.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { matmul } from '../../src/ops/dense/matmul.ts';
import { tuningTable } from '../../src/tune/lookup.ts';
import { chooseClock } from '../../src/measure/stopwatch.ts';
import { measurePoint, questionsOf } from '../../src/tune/measure-point.ts';
import { readSubjects } from '../../src/tune/subjects.ts';
import { subjectCase, type Subject } from '../../src/validate/draw/subject.ts';
import { codesOf, mergePoints, recheckPoints, tuneKernels, verdictOn } from '../../src/tune/tune.ts';
import { runCase } from '../../src/validate/run-case.ts';
import { spotChecked } from '../../src/validate/spot-check.ts';
import { testPlatform } from '../setup/platform.ts';
import { pointOf } from './support.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

const small: Subject = { op: 'matmul', dims: { M: 16, N: 64, K: 32 } };
const options = { budgetNs: 1e9, project: '0.0.0' };
const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

test('measures every variant beside the default, and its advice reaches the kernels', async () => {
  const { points, wrong, unmeasured } = await tuneKernels(gpu, { ...options, subjects: [small] });
  expect([wrong, unmeasured]).toEqual([[], []]);
  const [point] = points;
  if (point === undefined) throw new Error('no point');
  expect(point).toMatchObject({ family: 'matmul', sizes: { numRows: 16, numCols: 64, depth: 32 } });
  const seen = [...point.evidence.map((e) => e.variant), ...point.left.map((l) => l.variant)];
  expect(seen.sort()).toEqual([...matmul.variants.map((v) => v.name)].sort());
  expect(new Set(point.evidence.map((e) => e.samplesNs.length)).size).toBe(1);

  const other = point.evidence.find((e) => e.variant !== point.default)?.variant ?? '';
  const table = tuningTable([{ ...point, choice: other }], codesOf(gpu.platform));
  const { result, questions } = await observe(gpu, table, () => subjectCase(small).prepare(gpu));
  result.destroy();
  expect(result.variant).toBe(other);
  expect(questions[0]?.taken).toBe(other);
  expect(table.advice[0]).toMatchObject({ choice: other, how: 'measured' });
  const named = await subjectCase(small).prepare(gpu, point.default);
  named.destroy();
  expect(named.variant).toBe(point.default);
  expect(gpu.ledger.bytes).toBe(0);
});

test('an expert is asked for twice, once per product, with its number of local experts', async () => {
  const layer: Subject = {
    op: 'moe',
    dims: { T: 64, D: 16, E: 3, F: 32 },
    attrs: { k: 1 },
    with: ['logits', 'w3'],
  };
  const { plan } = await tuneKernels(gpu, { ...options, subjects: [layer], dryRun: true });
  expect(plan.map(({ sizes }) => [sizes.depth, sizes.numCols])).toEqual([
    [16, 32],
    [32, 16],
  ]);
  for (const { kind } of plan) expect(kind).toContain('numExperts=3');
});

test('a variant whose result is wrong is told and not timed', async () => {
  const right = subjectCase(small);
  const [question] = await questionsOf(gpu, right);
  if (question === undefined) throw new Error('nothing was asked');
  const moved = new Map(
    [...right.reference()].map(([name, e]) => [name, { ...e, values: e.values.map((value) => value + 1) }]),
  );
  const { point, wrong } = await measurePoint(gpu, {
    ...{ subject: small, index: 0, question, clock: await chooseClock(gpu), budgetNs: 1e9, project: '' },
    kernelCase: { ...right, reference: () => moved },
    codeOf: codesOf(gpu.platform),
  });
  expect(point).toBeUndefined();
  expect(wrong[0]?.message).toMatch(/over budget/);
});

test('a dry run measures nothing', async () => {
  const report = await tuneKernels(gpu, { ...options, subjects: [small], dryRun: true });
  expect(report.points).toEqual([]);
  expect(report.plan[0]?.candidates.length).toBeGreaterThan(1);
});

test('what does not fit into the budget is listed', async () => {
  const report = await tuneKernels(gpu, { ...options, budgetNs: 0, subjects: [small] });
  expect(report.unmeasured).toEqual([{ what: 'matmul M=16 N=64 K=32', reason: 'no time left' }]);
});

describe('recheck', () => {
  test('drops what has become slower than the default', async () => {
    const { points } = await tuneKernels(gpu, {
      ...options,
      subjects: [{ ...small, dims: { M: 1, N: 512, K: 512 } }],
    });
    const [point] = points;
    if (point === undefined) throw new Error('no point');
    // For one row "plain" takes more than twice the default's time, on a busy machine too.
    const lying = { ...point, choice: 'plain' };
    const { dropped, kept, points: after } = await recheckPoints(gpu, [lying], options);
    expect(kept).toBe(0);
    expect(dropped[0]?.reason).toMatch(/^dropped: /);
    expect(after[0]?.choice).toBeNull();
  });

  test('says what it found', () => {
    const point = pointOf({ rows: 4, times: { own: 100, row: 110 } });
    expect(verdictOn(point, 'row')).toMatch(/^dropped: on re-check it took 10\.0 % more time/);
    expect(verdictOn(pointOf({ rows: 4, times: { own: 100, row: 90 } }), 'row')).toBeUndefined();
    expect(verdictOn(undefined, 'row')).toMatch(/could not be measured/);
  });
});

test('new points take the place of old ones of the same shape', () => {
  const of = (rows: number, own: number) => pointOf({ rows, times: { own, row: 50 } });
  const merged = mergePoints([of(4, 100), of(8, 100)], [of(8, 200)]);
  expect(merged).toHaveLength(2);
  expect(merged[1]?.evidence[0]?.samplesNs[0]).toBe(200);
});

test('a large case is compared at some rows, and an error in them shows', async () => {
  const spot = spotChecked(subjectCase({ op: 'matmul', dims: { M: 600, N: 600, K: 600 } }));
  expect(spot.name).toMatch(/, \d+ of 600 rows compared$/);
  expect(await runCase(gpu, spot)).toMatchObject({ pass: true });
  const reference = (): ReturnType<typeof spot.reference> =>
    new Map(
      [...spot.reference()].map(([n, e]) => [
        n,
        { ...e, values: e.values.map((v, i) => (i === 0 ? v + 1 : v)) },
      ]),
    );
  expect(await runCase(gpu, { ...spot, reference })).toMatchObject({ pass: false });
});

describe('a file of shapes', () => {
  test('is read', () => {
    expect(readSubjects(encode([small]), 'shapes.json')).toEqual([small]);
  });

  test.each([
    [[], /no list of shapes/],
    [[{ op: 'matmul' }], /shapes\.json is no list of shapes: 0\.dims/],
    [[{ op: 'matmul', dims: { M: 0 } }], /0\.dims\.M/],
  ])('%j is refused', (value, message) => {
    expect(() => readSubjects(encode(value), 'shapes.json')).toThrow(message);
  });

  test.each<[Subject, RegExp]>([
    [{ op: 'matmull', dims: {} }, /no op "matmull"/],
    [{ op: 'matmul', dims: { M: 1, N: 1, Q: 1 } }, /no dimension "Q"\. It has: M, K, N/],
    [{ op: 'matmul', dims: { M: 1, N: 1 } }, /needs the size of K for a/],
    [{ op: 'matmul', dims: { M: 1, N: 1, K: 1 }, dtypes: { a: 'f64' } }, /a is "f64"; it must be/],
    [{ op: 'matmul', dims: { M: 1, N: 1, K: 1 }, with: ['c'] }, /no tensor "c"/],
  ])('%j names what is wrong', (subject, message) => {
    expect(() => subjectCase(subject)).toThrow(message);
  });
});
