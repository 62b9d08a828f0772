/** One vitest process in a copy of the project, and what came of it. */
import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Watch } from './mutant.ts';

/** What a run of tests says. `hung`: it ran past the limit and was ended. */
export interface TestRun {
  readonly state: 'passed' | 'failed' | 'hung' | 'no tests';
  readonly seconds: number;
  /** The first test that failed, or the file that did not load. */
  readonly failed?: string;
  /** Of that test, below `test/`. */
  readonly file?: string;
  readonly message?: string;
}

/** The part of vitest's JSON report that is read here. */
interface Report {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

/** A short run leaves out pairs of variants and cases, and who would notice with them. */
export const THOROUGH = { MOEBIUS_THOROUGH: '1' } as const;

/** Leaders of groups of processes, to be ended with this one. */
const running = new Set<number>();
export const begun = (pid: number): void => void running.add(pid);
export const ended = (pid: number): void => void running.delete(pid);

/** Ends the running tests, with all their children. */
export function endAll(): void {
  for (const pid of running) endGroup(pid);
}

export function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/** @param folder a copy of the project. */
export async function runTests(folder: string, watch: Watch, limitSeconds: number): Promise<TestRun> {
  const reportPath = join(folder, 'report.json');
  rmSync(reportPath, { force: true });
  const began = performance.now();
  const { hung, output } = await vitest(folder, reportPath, watch, limitSeconds);
  const seconds = (performance.now() - began) / 1000;
  if (hung) return { state: 'hung', seconds };
  return { ...verdictOf(folder, reportPath, output), seconds };
}

function vitest(
  folder: string,
  reportPath: string,
  { tests, only, env }: Watch,
  limitSeconds: number,
): Promise<{ hung: boolean; output: string }> {
  const args = [
    join('node_modules', 'vitest', 'vitest.mjs'),
    ...['run', '--project', 'node', '--bail', '1', '--reporter', 'json', '--outputFile', reportPath],
    ...(only === undefined ? [] : ['-t', only]),
    ...tests.map((path) => `test/${path}`),
  ];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: folder,
      detached: true,
      env: { ...process.env, ...THOROUGH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { pid } = child;
    if (pid !== undefined) begun(pid);
    let output = '';
    let hung = false;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text: Buffer) => (output = (output + text.toString()).slice(-20_000)));
    }
    const timer = setTimeout(() => {
      hung = true;
      if (pid !== undefined) endGroup(pid);
    }, 1000 * limitSeconds);
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(timer);
      if (pid !== undefined) ended(pid);
      resolve({ hung, output });
    });
  });
}

function verdictOf(folder: string, reportPath: string, output: string): Omit<TestRun, 'seconds'> {
  let report: Report;
  try {
    report = JSON.parse(readFileSync(reportPath, 'utf8')) as Report;
  } catch {
    return { state: 'failed', failed: 'the run itself', message: output.trim().slice(-2000) };
  }
  const fileOf = (name: string): string => relative(join(folder, 'test'), name);
  for (const { name, assertionResults } of report.testResults) {
    const test = assertionResults.find(({ status }) => status === 'failed');
    if (test === undefined) continue;
    const message = test.failureMessages.join('\n');
    return { state: 'failed', file: fileOf(name), failed: test.fullName, message };
  }
  const broken = report.testResults.find(({ status }) => status === 'failed');
  if (broken !== undefined) {
    const { name, message } = broken;
    return { state: 'failed', file: fileOf(name), failed: name, message };
  }
  return { state: report.numPassedTests === 0 ? 'no tests' : 'passed' };
}
