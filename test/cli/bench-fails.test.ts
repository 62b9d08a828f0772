/** `moebius bench` ends as its result does: a failed or incomplete run is an error after all has been written. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { BenchResult } from '../../src/bench/result.ts';
import * as run from '../../src/bench/run.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { CheckError } from '../../src/core/errors.ts';
import * as summary from '../../src/report/terminal/bench/summary.ts';
import * as schema from '../../src/report/file/result-file.ts';
import { scratchFolder } from './spawn.ts';

vi.mock('../../src/bench/run.ts', { spy: true });
vi.mock('../../src/report/terminal/bench/summary.ts', { spy: true });
vi.mock('../../src/report/file/result-file.ts', { spy: true });

type Outcome = BenchResult['verdict']['outcome'];

const failedRow = {
  family: 'rope',
  name: 'halves',
  variant: 'rows',
  timing: { state: 'failed', reason: 'too fast' },
};

/** As much of a result as its end takes. */
function resultOf(outcome: Outcome, kernels: readonly object[] = []): BenchResult {
  const judgement = { what: 'checks', state: outcome === 'pass' ? 'pass' : 'fail', text: 'as it went' };
  const result = {
    ...{
      pass: outcome === 'pass',
      verdict: { outcome, judgements: [judgement] },
      kernels,
      ceilings: [],
      forward: null,
    },
    ...{ checks: { kernels: [], model: null, notRun: 0 }, date: '2026-01-01T00:00:00.000Z', wallNs: 1 },
    adapter: { facts: { name: 'x' } },
  };
  return result as unknown as BenchResult;
}

beforeEach(() => {
  vi.spyOn(summary, 'renderSummary').mockReturnValue(['rendered']);
  vi.spyOn(schema, 'formatResult').mockReturnValue('{"kept": true}\n');
  vi.spyOn(process.stdout, 'write').mockImplementation((_text, ...rest: unknown[]) => {
    const done = rest.find((arg) => typeof arg === 'function') as (() => void) | undefined;
    done?.();
    return true;
  });
});
afterEach(() => void vi.restoreAllMocks());

async function bench(result: BenchResult, ...args: string[]): Promise<string> {
  vi.spyOn(run, 'runBench').mockResolvedValue(result);
  const out = join(await scratchFolder(), 'result.json');
  try {
    await buildProgram().parseAsync(['bench', '--quick', '--out', out, ...args], { from: 'user' });
  } finally {
    expect(await readFile(out, 'utf8')).toBe('{"kept": true}\n');
  }
  return out;
}

test('a run that passes ends well', async () => {
  await expect(bench(resultOf('pass'))).resolves.toBeTruthy();
});

test.each(['failed', 'incomplete'] as const)('a run that is %s is an error', async (outcome) => {
  await expect(bench(resultOf(outcome))).rejects.toThrow(CheckError);
  await expect(bench(resultOf(outcome), '--json')).rejects.toThrow(/as it went/);
});

test('a row that failed is an error, whatever the verdict says', async () => {
  await expect(bench(resultOf('pass', [failedRow]))).rejects.toThrow(
    /1 check failed: rope, halves, variant rows: too fast/,
  );
});
