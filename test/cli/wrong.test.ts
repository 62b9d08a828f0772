/** What is wrong has an exit code: a failed check, model or growth ends a command with a CheckError, and writes nothing. */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { growth } from '../../src/cli/verbs/growth.ts';
import { op } from '../../src/cli/verbs/op.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { validate } from '../../src/cli/verbs/validate.ts';
import * as growthOf from '../../src/bench/model/growth.ts';
import * as suite from '../../src/bench/kernels/check.ts';
import * as modelCheck from '../../src/bench/model/check.ts';
import type { GrowthResult } from '../../src/bench/model/growth.ts';
import type { ModelReport } from '../../src/bench/model/check.ts';
import { CheckError } from '../../src/core/errors.ts';
import { writeSafetensors } from '../../src/model/safetensors/safetensors.ts';
import { opByName } from '../../src/ops/ops.ts';
import { f32Tensor } from '../../src/tensor/tensor.ts';
import { scratchFolder } from './spawn.ts';

vi.mock('../../src/bench/model/growth.ts', { spy: true });
vi.mock('../../src/bench/kernels/check.ts', { spy: true });
vi.mock('../../src/bench/model/check.ts', { spy: true });

let printed = '';
beforeEach(() => {
  printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text, ...rest: unknown[]) => {
    printed += String(text);
    const done = rest.find((arg) => typeof arg === 'function') as (() => void) | undefined;
    done?.();
    return true;
  });
});
afterEach(() => void vi.restoreAllMocks());

/** A command line, as far as what it throws. */
const run = (...args: string[]): Promise<unknown> => buildProgram().parseAsync(args, { from: 'user' });

describe('op --check', () => {
  async function files(): Promise<{ folder: string; in: string; out: string }> {
    const folder = await scratchFolder();
    const input = join(folder, 'in');
    const x = { a: f32Tensor([2, 4], [1, 2, 3, 4, 5, 6, 7, 8]), b: f32Tensor([1, 4], [1, 1, 1, 1]) };
    await writeFile(input, writeSafetensors(x));
    return { folder, in: input, out: join(folder, 'out') };
  }
  const wrongTruth = (): void => {
    const matmul = opByName('matmul');
    const { reference } = { reference: matmul.reference.bind(matmul) };
    vi.spyOn(matmul, 'reference').mockImplementation(
      (inputs) =>
        new Map([...reference(inputs)].map(([n, e]) => [n, { ...e, values: e.values.map((v) => v + 1) }])),
    );
  };

  test('a result that is not the truth is an error and no file', async () => {
    const { folder, ...paths } = await files();
    wrongTruth();
    await expect(op({ ...paths, name: 'matmul', check: true })).rejects.toThrow(CheckError);
    await expect(run('op', 'matmul', '--in', paths.in, '--out', paths.out, '--check')).rejects.toThrow(
      /matmul\.c: 2 of 2 over budget.*Nothing was written/,
    );
    expect(await readdir(folder)).toEqual(['in']);
  });

  test('without --check nothing is compared', async () => {
    const { folder, ...paths } = await files();
    wrongTruth();
    expect((await op({ ...paths, name: 'matmul' })).checks).toBeUndefined();
    expect((await readdir(folder)).sort()).toEqual(['in', 'out']);
  });
});

describe('validate', () => {
  const report: ModelReport = {
    ...{ model: 'tiny-moe', layout: 'ep=1,pp=1,tp=1,dp=1', worldSize: 1, greedyTokens: 1 },
    ...{ pass: true, checks: [] },
  };
  const kernels = (failed: number) =>
    vi.spyOn(suite, 'checkKernels').mockResolvedValue({
      families: [
        {
          ...{ family: 'rope', cases: 1, runs: 1, failed, worstShare: 2 },
          failures:
            failed === 0 ? [] : [{ name: 'halves', variant: 'rows', message: 'y: 3 of 9 over budget' }],
        },
      ],
      notRun: 0,
      registered: [],
    });

  test('passes with kernels and model', async () => {
    kernels(0);
    vi.spyOn(modelCheck, 'checkModelAfter').mockResolvedValue(report);
    expect((await validate({ quick: true })).pass).toBe(true);
    // It would throw.
    await run('validate', '--quick');
  });

  test('a model that failed fails all, by name', async () => {
    kernels(0);
    const wrong = {
      what: 'text',
      who: 'sharded',
      against: 'known',
      pass: false,
      found: '3/9',
      limit: 'all',
    } as const;
    vi.spyOn(modelCheck, 'checkModelAfter').mockResolvedValue({ ...report, pass: false, checks: [wrong] });
    expect((await validate({ quick: true })).pass).toBe(false);
    await expect(run('validate', '--quick')).rejects.toThrow('1 check failed: text, sharded - known: 3/9');
    await expect(run('validate', '--quick', '--json')).rejects.toThrow(CheckError);
    expect(printed).toMatch(/"pass": ?false/);
  });

  test('a kernel that failed fails all, whatever the model says', async () => {
    kernels(1);
    vi.spyOn(modelCheck, 'checkModelAfter').mockResolvedValue(report);
    expect((await validate({ quick: true })).pass).toBe(false);
    await expect(run('validate', '--quick')).rejects.toThrow(
      '1 check failed: rope, halves, variant rows: y: 3 of 9 over budget',
    );
  });

  test('random cases that failed fail all, with the command that repeats one', async () => {
    const rope = opByName('rope');
    const { reference } = { reference: rope.reference.bind(rope) };
    vi.spyOn(rope, 'reference').mockImplementation(
      (inputs) =>
        new Map([...reference(inputs)].map(([n, e]) => [n, { ...e, values: e.values.map((v) => v + 1) }])),
    );
    const result = await validate({ fuzz: 1, family: 'rope', seed: 3 });
    expect(result.pass).toBe(false);
    expect(result.families[0]?.failed).toBe(result.families[0]?.runs);
    await expect(run('validate', '--fuzz', '1', '--family', 'rope', '--seed', '3')).rejects.toThrow(
      /checks? failed.*Repeat: moebius validate --fuzz 1 --seed 3 --family rope/,
    );
  });
});

describe('growth', () => {
  const one = (verdict: GrowthResult['verdict']): GrowthResult => ({
    ...{ name: 'routing', variable: 'T', what: 'w', expected: 1, tolerance: 0.2, rule: '', points: [] },
    ...{ verdict, reason: `reason of ${verdict}` },
  });

  test.each([
    [['as expected', 'unfit'], undefined],
    [['as expected', 'unexpected'], /routing: reason of unexpected/],
    [['failed', 'as expected'], /routing: reason of failed/],
  ] as const)('%j', async (verdicts, message) => {
    vi.spyOn(growthOf, 'measureGrowth').mockResolvedValue(verdicts.map(one));
    expect((await growth({ series: ['routing'] })).pass).toBe(message === undefined);
    const ended = run('growth', '--series', 'routing');
    if (message === undefined) await ended;
    else {
      await expect(ended).rejects.toThrow(CheckError);
      await expect(run('growth', '--series', 'routing', '--json')).rejects.toThrow(message);
    }
  });
});
