/** What a result file may be: of version 1, of an older 2, hostile. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { comparedRun } from '../../src/report/file/compared-runs.ts';
import { readResult } from '../../src/report/file/result-file.ts';
import type { StoredBenchResult } from '../../src/report/file/schema.ts';

const NOW = readFileSync('test/report/result.json', 'utf8');
/** Of 0.3.0: version 2 without what came later. */
const OLDER = readFileSync('test/compare/result.json', 'utf8');
/** Of 0.2.0, some of its rows and samples. */
const FIRST = readFileSync('test/report/result-version-1.json', 'utf8');

const read = (text: string): StoredBenchResult => readResult(new TextEncoder().encode(text), 'r.json');

interface Loose {
  [name: string]: Loose;
}

/** The file after a change, as text. */
function changed(change: (result: Loose) => unknown, text = NOW): string {
  const result = JSON.parse(text) as Loose;
  change(result);
  return JSON.stringify(result);
}

function messageOfReading(text: string): string {
  try {
    read(text);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  return 'it was read';
}

describe('a result of today', () => {
  const result = read(NOW);

  test('loses nothing, and has an id, the order and times of its rounds, and the load of the machine', () => {
    expect(result).toEqual(JSON.parse(NOW));
    expect(result.runId).toMatch(/^[0-9a-f-]{36}$/);
    const { order = [], times = [], count = 0 } = result.rounds ?? {};
    expect(order.length).toBeGreaterThanOrEqual(count);
    expect(times).toHaveLength(order.length);
    expect(result.load?.average?.before).toHaveLength(3);
  });

  test('has raw samples: each is the median of its windows, in a round in which its row had a turn', () => {
    const { order = [] } = result.rounds ?? {};
    result.kernels.forEach(({ timing }, row) => {
      if (timing.state !== 'measured') return;
      const { samplesNs, windowsNs = [], rounds = [] } = timing;
      expect(windowsNs).toHaveLength(samplesNs.length);
      windowsNs.forEach((windows, i) => {
        const sorted = [...windows].sort((a, b) => a - b);
        const middle = ((sorted[(sorted.length - 1) >> 1] ?? 0) + (sorted[sorted.length >> 1] ?? 0)) / 2;
        expect(samplesNs[i]).toBe(middle);
        expect(order[rounds[i] ?? -1]).toContain(row);
      });
    });
  });
});

describe('older files', () => {
  test('version 2 of 0.3.0 is read as it is', () => {
    expect(read(OLDER)).toEqual(JSON.parse(OLDER));
  });

  test('version 1 is read as version 2: its samples stay, its verdict is judged anew', () => {
    const before = JSON.parse(FIRST) as StoredBenchResult;
    const result = read(FIRST);
    expect(result).toMatchObject({ version: 2, rounds: null, canary: null, load: null, card: null });
    expect(result.kernels.map(({ timing }) => timing)).toEqual(before.kernels.map(({ timing }) => timing));
    expect(result.kernels.some((row) => 'drift' in row)).toBe(false);
    expect(result.forward?.ratio?.count).toBe(before.forward?.sharded?.samplesNs.length);
    expect(result.verdict.outcome).toBe('incomplete');
    expect(comparedRun(result, 'r.json').rows.size).toBe(before.kernels.length + 2);
  });

  test("a GPU's version 1 is not judged: it has no layers of the card model", () => {
    const result = read(
      changed(({ adapter }) => Object.assign(adapter?.facts ?? {}, { kind: 'gpu' }), FIRST),
    );
    expect(result.verdict.judgements.at(-1)?.text).toMatch(/^not judged: version 1/);
  });

  test.each<[string, (result: Loose) => unknown, RegExp]>([
    ['no kernels', (r) => delete r.kernels, /version 1: kernels: the field is missing/],
    ['a list for its checks', (r) => Object.assign(r, { checks: [] }), /version 1: checks/],
    [
      'a field of no version',
      (r) => Object.assign(r, { kernal: 1 }),
      /kernal: there is no such field \(did you/,
    ],
  ])('version 1 with %s is refused', (_what, change, message) => {
    expect(messageOfReading(changed(change, FIRST))).toMatch(message);
  });
});

const kernel = (r: Loose): Loose => (r.kernels as unknown as Loose[])[0] ?? {};
const samples = (r: Loose): unknown[] => kernel(r).timing?.samplesNs as unknown as unknown[];

describe('what is no result', () => {
  test.each([
    ['empty', '', /r\.json/],
    ['truncated', NOW.slice(0, NOW.length / 2), /r\.json/],
    ['a list', '[]', /its "schema" is undefined/],
    ['null', 'null', /its "schema" is undefined/],
    ['of another program', '{"schema": "other", "version": 2}', /its "schema" is "other"/],
    ['NaN, which JSON does not have', NOW.replace(/"wallNs": \d+/, '"wallNs": NaN'), /r\.json/],
    ['a time beyond float64', NOW.replace(/"wallNs": \d+/, '"wallNs": 1e999'), /r\.json/],
    ['a field twice', NOW.replace(/^\{/, '{"version": 2,'), /twice/],
  ])('%s', (_what, text, message) => {
    expect(messageOfReading(text)).toMatch(message);
  });

  test.each<[string, (result: Loose) => unknown, RegExp]>([
    [
      'a newer version',
      (r) => Object.assign(r, { version: 3 }),
      /version 3 \(moebius ".*" wrote it\), newer/,
    ],
    ['a version that is a word', (r) => Object.assign(r, { version: '2' }), /its "version" is "2"/],
    ['a field that it lacks', (r) => delete r.canary, /canary: the field is missing/],
    [
      'a name that is near',
      (r) => Object.assign(kernel(r), { flop: 1 }),
      /kernels\.0\.flop: .*did you mean "flops"/,
    ],
    ['a name that is not', (r) => Object.assign(r, { zebra: 1 }), /zebra: there is no such field\./],
    [
      'an unknown field of a timing',
      (r) => Object.assign(kernel(r).timing ?? {}, { p: 1 }),
      /timing\.p: there is/,
    ],
    ['a negative time', (r) => samples(r).push(-1), /timing\.samplesNs\.\d+: /],
    ['null for a time', (r) => samples(r).push(null), /timing\.samplesNs\.\d+: /],
    ['no samples', (r) => Object.assign(kernel(r).timing ?? {}, { samplesNs: [] }), /timing\.samplesNs: /],
    ['no timing', (r) => delete kernel(r).timing, /kernels\.0\.timing: the field is missing/],
    [
      'a name with escapes',
      (r) => Object.assign(r, { ['\u001b[2J\u202e']: 1 }),
      /: \\x1b\[2J\\u202e: there is/,
    ],
  ])('%s', (_what, change, message) => {
    const said = messageOfReading(changed(change));
    expect(said).toMatch(message);
    expect(said).not.toMatch(/[\u0000-\u001f\u202e]/);
  });

  test('a name of megabytes is told in a line, at once', () => {
    const began = performance.now();
    const said = messageOfReading(changed((r) => Object.assign(r, { ['x'.repeat(5e6)]: 1 })));
    expect(said.length).toBeLessThan(500);
    expect(performance.now() - began).toBeLessThan(5000);
  });

  test("whatever value stands for another is read or refused as the caller's mistake", () => {
    const paths: (string | number)[][] = [];
    const walk = (value: unknown, path: (string | number)[]): void => {
      if (path.length > 0) paths.push(path);
      if (Array.isArray(value)) value.slice(0, 2).forEach((own, i) => walk(own, [...path, i]));
      else if (typeof value === 'object' && value !== null)
        for (const [name, own] of Object.entries(value)) walk(own, [...path, name]);
    };
    walk(JSON.parse(FIRST), []);
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom(-1, 0, null, '', [], {}, true, 1e300),
    );
    fc.assert(
      fc.property(fc.constantFrom(...paths), value, fc.constantFrom(FIRST, OLDER), (path, other, text) => {
        const result = JSON.parse(text) as Record<string, unknown>;
        let place: Record<string, unknown> = result;
        for (const name of path.slice(0, -1)) place = Object(place[name]) as Record<string, unknown>;
        place[path.at(-1) ?? ''] = other;
        try {
          read(JSON.stringify(result));
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
        }
      }),
      { numRuns: Number(process.env.MOEBIUS_RUNS ?? 150) },
    );
  });
});
