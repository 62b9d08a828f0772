/** The catalogue of planted faults fits the sources: each place is there once, and each is watched by tests. */
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { catalogue } from '../mutate/catalogue.ts';
import { baselineRuns } from '../mutate/baseline.ts';
import { describeScore, fateOf, scoreOf } from '../mutate/judge.ts';
import { KeptRuns } from '../mutate/kept.ts';
import { nameOf, placesIn, type Mutant } from '../mutate/mutant.ts';
import { Noticed, provenBy } from '../mutate/noticed.ts';
import { sampleOf, shareInterval } from '../mutate/sample.ts';
import type { By, Use } from '../mutate/shaders/messages.ts';
import { sitesOf } from '../mutate/shaders/sites.ts';
import { runBy, runsOf } from '../mutate/shaders/uses.ts';
import { placesOf, Witnesses } from '../mutate/shaders/witnesses.ts';
import { filesBelow, textOf } from './source-files.ts';

const mutants = Object.values(catalogue).flat();
const sources = new Set([...filesBelow('src'), ...filesBelow('shaders')]);
const tests = filesBelow('test').filter((path) => path.endsWith('.test.ts'));

test('every fault has one place in a source, and changes it', () => {
  const wrong = mutants.filter((mutant) => {
    return (
      !sources.has(mutant.file) ||
      placesIn(textOf(mutant.file), mutant) !== 1 ||
      mutant.find === mutant.replace
    );
  });
  expect(wrong.map((mutant) => `${nameOf(mutant)}: ${mutant.find}`)).toEqual([]);
});

test('every fault is told apart by its words, and watched by tests that are there', () => {
  expect(new Set(mutants.map(nameOf)).size).toBe(mutants.length);
  const watched = [...new Set(mutants.flatMap(({ tests: names }) => names.map((name) => `test/${name}`)))];
  expect(watched.filter((path) => !tests.some((known) => known.startsWith(path)))).toEqual([]);
  expect(mutants.filter(({ tests: names }) => names.length === 0)).toEqual([]);
});

const mutant: Mutant = { file: 'src/a.ts', find: 'a', replace: 'b', why: 'b', tests: ['a.test.ts'] };

test('a fault is caught by a test that fails, not by text that does not compile', () => {
  const failed = (message: string) => ({ state: 'failed', seconds: 1, message }) as const;
  expect(fateOf(mutant, failed('expected 1 to be 2'))).toBe('caught');
  expect(fateOf(mutant, { state: 'hung', seconds: 9 })).toBe('hung');
  expect(fateOf(mutant, { state: 'passed', seconds: 1 })).toBe('survived');
  expect(fateOf(mutant, { state: 'no tests', seconds: 1 })).toBe('invalid');
  expect(fateOf(mutant, failed('Transform failed with 1 error'))).toBe('invalid');
  const shader = { ...mutant, file: 'shaders/a.wgsl' };
  expect(fateOf(shader, failed('The shader a.wgsl does not compile on this adapter.'))).toBe('invalid');
  expect(fateOf(mutant, failed('The shader a.wgsl does not compile on this adapter.'))).toBe('caught');
});

test('19 of 20 are enough, 18 are not, and what says nothing is no success', () => {
  const run = { state: 'passed', seconds: 1 } as const;
  const of = (...fates: ('caught' | 'hung' | 'survived' | 'invalid')[]) =>
    scoreOf(fates.map((fate) => ({ area: 'a', mutant, fate, run })));
  const caught = Array<'caught'>(18).fill('caught');
  expect(of(...caught, 'hung', 'survived')).toMatchObject({ caught: 18, hung: 1, share: 0.95, pass: true });
  expect(of(...caught, 'survived', 'survived').pass).toBe(false);
  expect(of(...caught, 'caught', 'invalid').pass).toBe(false);
  expect(of().pass).toBe(false);
  expect(describeScore(of(...caught, 'survived', 'survived'))).toEqual(
    expect.arrayContaining([
      '  src/a.ts: b',
      expect.stringMatching(/^FAIL: 18 of 20 planted faults caught \(90\.0 %/),
    ]),
  );
  expect(describeScore(of(...caught, 'hung', 'survived'), 472).at(-1)).toBe(
    'A sample: of all 472, 76.4 to 99.1 % are caught, at 95 % confidence.',
  );
});

test('tests that noticed a fault are asked first about the next one, where all of them take longer', () => {
  const noticed = new Noticed();
  const own = { ...mutant, tests: ['a.test.ts', 'b.test.ts'], env: { A: '1' } };
  const other = { ...own, only: 'x' };
  const seen = (failed: string, seconds: number) =>
    ({ state: 'failed', seconds, file: 'b.test.ts', failed }) as const;
  noticed.note(own, seen('adds 1 (and 2)', 1));
  expect(noticed.firstOf(other)).toEqual([]);
  noticed.note(own, seen('takes', 60));
  noticed.note(own, { state: 'failed', seconds: 9, file: 'a.test.ts', failed: '/copy/test/a.test.ts' });
  const both = { tests: ['b.test.ts'], only: '^(?:adds 1 \\(and 2\\)|takes)$', env: { A: '1' } };
  expect(noticed.firstOf(other)).toEqual([both]);
  expect(new RegExp(both.only).test('adds 1 (and 2)')).toBe(true);
  expect(noticed.firstOf({ ...own, env: {} })).toEqual([]);
  expect(noticed.firstOf({ ...own, tests: ['a.test.ts'] })).toEqual([]);
});

test('what noticed is what must pass without a fault', () => {
  const own = { ...mutant, only: 'x', env: { A: '1' } };
  const failed = { state: 'failed', seconds: 1, file: 'a.test.ts' } as const;
  expect(provenBy(own, { ...failed, failed: 'a + b' })).toEqual({
    ...{ tests: ['a.test.ts'], only: '^(?:a \\+ b)$', env: { A: '1' } },
  });
  expect(provenBy(own, { ...failed, failed: '/copy/test/a.test.ts' })).toEqual({
    ...{ tests: ['a.test.ts'], env: { A: '1' } },
  });
  expect(provenBy(own, { state: 'hung', seconds: 600 })).toEqual({
    ...{ tests: ['a.test.ts'], only: 'x', env: { A: '1' } },
  });
});

test('a sample has of every area its share, of the same seed the same faults, and all when it is as large', () => {
  const all = Object.entries(catalogue).flatMap(([area, faults]) => faults.map((fault) => ({ area, fault })));
  for (const [count, seed] of [
    [59, 1],
    [118, 2],
    [472, 3],
    [1, 4],
  ] as const) {
    const drawn = sampleOf(all, ({ area }) => area, count, seed);
    expect(new Set(drawn.map(({ fault }) => fault)).size).toBe(Math.min(count, all.length));
    expect(sampleOf(all, ({ area }) => area, count, seed)).toEqual(drawn);
    for (const [area, faults] of Object.entries(catalogue)) {
      const got = drawn.filter((one) => one.area === area).length;
      expect(Math.abs(got - (faults.length * drawn.length) / all.length)).toBeLessThan(1);
    }
  }
  // What an interrupted run has judged is of all areas too.
  const begun = sampleOf(all, ({ area }) => area, 118, 1).slice(0, 40);
  expect(new Set(begun.map(({ area }) => area)).size).toBeGreaterThan(Object.keys(catalogue).length / 2);
  const first = (seed: number) => sampleOf(all, ({ area }) => area, 20, seed).map(({ fault }) => fault);
  expect(first(1)).not.toEqual(first(2));
  expect(sampleOf(all, ({ area }) => area, 1000, 1).length).toBe(all.length);
});

test('the interval of a share, by hand', () => {
  // 19 of 20 by Wilson: (0.95 + 0.0960) / 1.192 -+ 1.96 sqrt((0.0475 + 0.0480) / 20) / 1.192.
  const [low, high] = shareInterval(0.95, 20);
  expect(low).toBeCloseTo(0.7639, 3);
  expect(high).toBeCloseTo(0.9911, 3);
  const [none, some] = shareInterval(0, 10);
  expect(none).toBeCloseTo(0, 12);
  expect(some).toBeCloseTo(0.2775, 3);
});

test('the run without faults has every test once', () => {
  expect(
    baselineRuns([
      { tests: ['a.test.ts'] },
      { tests: ['a.test.ts', 'b.test.ts'], only: 'x' },
      { tests: ['b.test.ts'], only: 'y' },
    ]),
  ).toEqual([
    { tests: ['a.test.ts'], env: {} },
    { tests: ['b.test.ts'], only: '(?:x)|(?:y)', env: {} },
  ]);
});

test('a run that was ended goes on: results are taken over while texts are the same', () => {
  const folder = mkdtempSync(join(tmpdir(), 'moebius-kept-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'kept');
  const here = { ...mutant, file: 'src/core/math.ts', tests: ['core/math'] };
  const run = { state: 'failed', seconds: 1, message: 'expected 1 to be 2' } as const;
  const first = new KeptRuns(path);
  expect(first.runOf(here)).toBeUndefined();
  first.keep(here, run);
  appendFileSync(path, '\n{"key": "cut o');
  new KeptRuns(path).keep({ ...here, replace: 'c' }, { ...run, state: 'passed' });
  const again = new KeptRuns(path);
  expect(again.runOf(here)).toEqual(run);
  expect(again.runOf({ ...here, why: 'in other words' })).toEqual(run);
  expect(again.runOf({ ...here, replace: 'c' })?.state).toBe('passed');
  expect(again.runOf({ ...here, find: 'c' })).toBeUndefined();
  expect(again.runOf({ ...here, tests: ['core'] })).toBeUndefined();
  new KeptRuns().keep(here, run);
});

test('a shader without a bound: who noticed is found, and each case runs once, a few of each way to compile it first', () => {
  const kind = 'gpu';
  const use = (way: string, work: number): Use => ({
    ...{ kind, family: 'moe', name: `${way} ${work}`, variant: 'plain', work, id: `${way}${work}` },
    shaders: { 'experts/plain.wgsl': way },
  });
  const other: Use = { ...use('a', 0), shaders: { 'gemm/plain.wgsl': 'a' } };
  const uses = [...Array.from({ length: 9 }, (_, i) => use('a', 9 - i)), use('b', 4), other];
  const { first, rest } = runsOf('experts/plain.wgsl', uses, 4);
  const whole = first.filter(({ inPieces }) => !inPieces).map(({ use: { id } }) => id);
  expect(whole.slice(0, 2)).toEqual(['a1', 'a2']);
  expect(whole.filter((id) => id.startsWith('a'))).toHaveLength(4);
  expect(first.filter(({ inPieces }) => inPieces)).toHaveLength(whole.length);
  expect([...whole, ...rest.map(({ use: { id } }) => id)].sort()).toEqual(
    [...'123456789'].map((work) => `a${work}`).concat('b4'),
  );
  const by: By = {
    how: 'case',
    adapter: 'x',
    kind,
    family: 'moe',
    name: 'b 4',
    variant: 'plain',
    inPieces: true,
  };
  expect(runBy('experts/plain.wgsl', uses, by)).toEqual({ use: uses[9], inPieces: true });
  expect(runBy('gemm/plain.wgsl', uses, by)).toBeUndefined();
});

test('who noticed a bound is known by its words, and told apart from another with the same', () => {
  const text = 'if (i >= n) { return; }\n';
  const places = placesOf('a.wgsl', sitesOf(text + text));
  expect(places.map(({ what, nth }) => `${what} ${nth}`)).toEqual(['i >= n 0', 'i >= n 1']);
  const [first, second] = placesOf('a.wgsl', sitesOf(`\n${text}${text}`));
  const witnesses = new Witnesses();
  if (first !== undefined) witnesses.set(first, { how: 'races' });
  expect(places.map((place) => witnesses.of(place))).toEqual([{ how: 'races' }, undefined]);
  expect(second?.nth).toBe(1);
});
