/** A kernel of the user's own is condemned for each thing that can be wrong with it, with the case and the place. */
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { variants as gemm } from '../../bench/examples/gemm.ts';
import { variants as topk } from '../../bench/examples/topk.ts';
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { registerVariant } from '../../src/kernels/registered/register.ts';
import type { OwnVariant } from '../../src/kernels/registered/own-variant.ts';
import { casesOf, kernelCases } from '../../src/validate/cases.ts';
import { checkRegistered, type RegisteredReport } from '../../src/validate/registered.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
beforeEach(async () => {
  gpu = await openGpu(testPlatform());
});
afterEach(() => gpu.destroy());

const folder = new URL('../../bench/examples/', import.meta.url);
const GEMM = await readFile(new URL('gemm.wgsl', folder), 'utf8');
const TOPK = await readFile(new URL('topk.wgsl', folder), 'utf8');

/** @throws Error when the place is not there once. */
function spoilt(text: string, find: string, replace: string): string {
  if (text.split(find).length !== 2) throw new Error(`"${find}" is not there once`);
  return text.replace(find, () => replace);
}

const lineOf = (text: string, part: string): number => text.slice(0, text.indexOf(part)).split('\n').length;

async function reportOn(variant: OwnVariant, text: string, cases = kernelCases): Promise<RegisteredReport> {
  await registerVariant(gpu, { ...variant, text });
  const [report, ...others] = await checkRegistered(gpu, cases);
  expect(others).toEqual([]);
  if (report === undefined) throw new Error('no report');
  expect(gpu.ledger.bytes).toBe(0);
  return report;
}

/** 'primes: c: 3 of ...' for each case that failed. */
const failures = ({ results }: RegisteredReport): string[] =>
  results.filter(({ pass }) => !pass).map(({ name, message }) => `${name}: ${message}`);

describe('an honest one', () => {
  test.each<[string, OwnVariant, string]>([
    ['GEMM', gemm, GEMM],
    ['top-k', topk, TOPK],
  ])('%s passes all cases that it does not refuse, and does not race', async (_what, variant, text) => {
    const report = await reportOn(variant, text);
    expect(failures(report)).toEqual([]);
    expect(report).toMatchObject({ pass: true, notRun: 0, variant: variant.name });
    expect(report.results.length).toBeGreaterThan(8);
    expect(report.results.length + report.refused).toBe(casesOf(variant.family).length);
    expect(report.races.map(({ state }) => state)).not.toContain('races');
    expect(report.races.map(({ state }) => state)).toContain('none');
  });
});

const few = casesOf('matmul').filter(({ name }) => ['one element', 'primes', 'one row'].includes(name));
const store = 'c_MN[m * params.numCols + n] = total;';

describe('condemned is one that', () => {
  test.each<[string, string, RegExp]>([
    [
      'drops the last of K',
      spoilt(
        GEMM,
        'tileB[mine] = 0.0;\n    if (m < params.numRows && k < params.depth)',
        'tileB[mine] = 0.0;\n    if (m < params.numRows && k + 1u < params.depth)',
      ),
      /^primes: c: \d+ of 1073 over budget; worst \[\d+, \d+\] got .* want /,
    ],
    [
      'is off by a column',
      spoilt(
        GEMM,
        'n < params.numCols) { c_MN[m * params.numCols + n]',
        'n < params.numCols) { c_MN[m * params.numCols + n + 1u]',
      ),
      /^primes: c: \d+ of 1073 over budget; worst \[\d+, \d+\]/,
    ],
    [
      'gives NaN',
      spoilt(GEMM, store, 'c_MN[m * params.numCols + n] = bitcast<f32>(params.numCols | 0x7fc00000u);'),
      /^primes: c: 1073 of 1073 over budget; .* got NaN/,
    ],
    [
      'writes nothing',
      spoilt(GEMM, store, `if (params.numCols == 0u) { ${store} }`),
      /^primes: c: 1073 of 1073 over budget; .* got NaN/,
    ],
    [
      'writes beyond its rows',
      spoilt(GEMM, store, `${store} if (m + n == 0u) { c_MN[params.numRows * params.numCols + 5u] = 1.0; }`),
      /^primes: c is written beyond its end: 6 elements behind the last/,
    ],
    [
      'has other bits where other things were before',
      spoilt(
        GEMM,
        store,
        'let old = bitcast<u32>(c_MN[m * params.numCols + n]) & 1u; c_MN[m * params.numCols + n] = bitcast<f32>(bitcast<u32>(total) ^ old);',
      ),
      /^primes: c has other bits on the second run/,
    ],
  ])('%s', async (_what, text, message) => {
    const report = await reportOn(gemm, text, few);
    expect(report.pass).toBe(false);
    expect(failures(report)).toContainEqual(expect.stringMatching(message));
  });

  test('does not compile: the line of its file, and the other cases are not tried', async () => {
    const text = spoilt(GEMM, 'var total = 0.0;', 'var total = params.absent;');
    const report = await reportOn(gemm, text);
    expect(report.pass).toBe(false);
    const place = `gemm\\.wgsl:${lineOf(GEMM, 'var total')}:\\d+: .*absent`;
    expect(failures(report)).toHaveLength(2);
    expect(failures(report)[0]).toMatch(new RegExp(`^one element: .*\\n  .*${place}`));
    expect(report.notRun + report.refused + report.results.length).toBe(casesOf('matmul').length);
  });

  test.each([1, 2])('lacks barrier %i: the lines that race, whatever this adapter computes', async (nth) => {
    let seen = 0;
    const text = GEMM.replace(/workgroupBarrier\(\);/g, (call) => (++seen === nth ? '' : call));
    expect(seen).toBe(2);
    const report = await reportOn(gemm, text, few);
    expect(report.pass).toBe(false);
    const [first] = report.races.filter(({ state }) => state === 'races');
    expect(first?.subject).toMatch(/^matmul M=\d+ N=\d+ K=\d+/);
    expect(first?.message).toMatch(/gemm\.wgsl races, with no barrier in between: tile[AB]: /);
    const lines = [...(first?.message ?? '').matchAll(/in (?:line )?(\d+)/g)].map(([, line]) => Number(line));
    // The sum reads what the loads write, of this step or of the next.
    expect(lines).toContain(lineOf(GEMM, 'for (var i'));
  });

  test('races where nothing is wrong in its results', async () => {
    const unread = GEMM.replace('@compute', 'var<workgroup> last : u32;\n\n@compute').replace(
      'let mine =',
      'last = local.x;\n  let mine =',
    );
    const report = await reportOn(gemm, unread, few);
    expect(failures(report)).toEqual([]);
    expect(report.pass).toBe(false);
    const [first] = report.races.filter(({ state }) => state === 'races');
    expect(first?.message).toMatch(/gemm\.wgsl races, with no barrier in between: last/);
  });

  test('chooses the second best', async () => {
    const report = await reportOn(topk, spoilt(TOPK, 'key > best)', 'key >= best)'), casesOf('gate-topk'));
    expect(failures(report)).toContainEqual(expect.stringMatching(/^many ties: ids: \d+ of \d+ over budget/));
  });

  test('refuses everything: what was not checked has not passed', async () => {
    const report = await reportOn({ ...gemm, refusal: () => 'not today' }, GEMM, few);
    expect(report).toMatchObject({ pass: false, results: [], refused: 3 });
    expect(report.races).toEqual([]);
  });
});

test('what cannot be interpreted is said to be not examined, and why', async () => {
  const text = spoilt(
    GEMM,
    'var total = 0.0;',
    'var total = 0.0; let big = extractBits(params.depth, 0u, 32u); total += f32(big - params.depth);',
  );
  const report = await reportOn(gemm, text, few);
  const unknown = report.races.filter(({ state }) => state === 'unknown');
  expect(report.races.filter(({ state }) => state === 'races')).toEqual([]);
  expect(unknown.map(({ message }) => message).join()).toMatch(/ExtractBits/);
});

test('what the interpreter computes otherwise than the device is said to be not examined', async () => {
  // f32 loses what float64 keeps.
  const text = spoilt(GEMM, store, store.replace('total', '(total + 16777216.0) - 16777216.0'));
  const { races } = await reportOn(gemm, text, few);
  expect(races.length).toBeGreaterThan(0);
  for (const { state, message } of races) {
    expect({ state, message }).toEqual({
      state: 'unknown',
      message: 'interpreted, c_MN differs from what the device computes',
    });
  }
});
