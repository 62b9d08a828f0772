/** One vitest process in a copy of the project, and what came of it. */
import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Watch } from './mutant.ts';

/** What a run of tests says. `hung`: it ran past the limit and was ended. */
export interface TestRun {
  readonly state: 'passed' | 'failed' | 'hung' | 'no tests';
  readonly seconds: number;
  /** The first test that failed, or the file that did not load. */
  readonly failed?: string;
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

/** Ends the running tests, with all their children. */
const running = new Set<number>();
export function endAll(): void {
  for (const pid of running) endGroup(pid);
}

function endGroup(pid: number): void {
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
  return { ...verdictOf(reportPath, output), seconds };
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
      // A short run leaves out pairs of variants and cases, and who would notice with them.
      env: { ...process.env, MOEBIUS_THOROUGH: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { pid } = child;
    if (pid !== undefined) running.add(pid);
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
      if (pid !== undefined) running.delete(pid);
      resolve({ hung, output });
    });
  });
}

function verdictOf(reportPath: string, output: string): Omit<TestRun, 'seconds'> {
  let report: Report;
  try {
    report = JSON.parse(readFileSync(reportPath, 'utf8')) as Report;
  } catch {
    return { state: 'failed', failed: 'the run itself', message: output.trim().slice(-2000) };
  }
  const tests = report.testResults.flatMap(({ assertionResults }) => assertionResults);
  const failed = tests.find(({ status }) => status === 'failed');
  if (failed !== undefined) {
    return { state: 'failed', failed: failed.fullName, message: failed.failureMessages.join('\n') };
  }
  const broken = report.testResults.find(({ status }) => status === 'failed');
  if (broken !== undefined) return { state: 'failed', failed: broken.name, message: broken.message };
  return { state: report.numPassedTests === 0 ? 'no tests' : 'passed' };
}
