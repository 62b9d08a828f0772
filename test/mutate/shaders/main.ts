/**
 * `npm run mutate:shaders`: takes every barrier and every test of a bound out of the shaders, one at a time, and lists
 * those that no check misses. Barriers are judged by the search for races, bounds by the kernel cases on an adapter.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { atLeast } from '../../../src/cli/options.ts';
import { once } from '../../../src/core/async/once.ts';
import { nodePlatform } from '../../../src/platform/node/node.ts';
import type { KernelKind } from '../../../src/platform/platform.ts';
import { copyTree, scratchFolder } from '../copies.ts';
import { runTests } from '../run-tests.ts';
import { exceptionOf } from './exceptions.ts';
import type { Ask, Fate, Use } from './messages.ts';
import { sitesOf, type Kind, type Site } from './sites.ts';

interface Options {
  readonly only?: string;
  readonly json?: string;
  readonly clamps?: boolean;
  readonly limit: number;
  readonly most: number;
  readonly kinds: string;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Ends and is started anew when an answer does not come. */
class Worker {
  #child: ChildProcess | undefined;

  async ask<T>(ask: Ask, limitSeconds: number): Promise<T | 'hung'> {
    const child = (this.#child ??= fork(fileURLToPath(new URL('worker.ts', import.meta.url))));
    return await new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        child.removeAllListeners();
      };
      const timer = setTimeout(() => {
        end();
        this.end();
        resolve('hung');
      }, 1000 * limitSeconds);
      child.on('message', (answer) => {
        end();
        resolve(answer as T);
      });
      child.on('exit', (code) => {
        end();
        this.#child = undefined;
        if (code === 0) reject(new Error('the worker ended'));
        else resolve('hung');
      });
      child.send(ask);
    });
  }

  end(): void {
    this.#child?.removeAllListeners();
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }
}

interface Judged extends Fate {
  readonly path: string;
  readonly site: Site;
  readonly argument?: string | undefined;
}

/** What runs a shader: where least is compiled first, then the smallest; half of the rest from all sizes. Half as for a GPU. */
function usesOf(path: string, uses: readonly Use[], most: number): Use[] {
  const able = uses
    .filter(({ shaders }) => shaders.includes(path))
    .sort((a, b) => a.shaders.length - b.shaders.length || a.work - b.work);
  const those = (kind: KernelKind): Use[] => {
    const own = able.filter((use) => use.kind === kind);
    const [small, rest] = [own.slice(0, most / 4), own.slice(most / 4)];
    const step = Math.max(1, Math.ceil(rest.length / (most / 4)));
    return [...small, ...rest.filter((_, i) => i % step === step - 1)];
  };
  return [...those('gpu'), ...those('software')];
}

/** Tests of what cases of kernels do not run, or compile only. */
const TESTS: readonly (readonly [path: RegExp, tests: readonly string[]])[] = [
  [/^collectives\//, ['collectives/collectives.shared.test.ts', 'collectives/grids.shared.test.ts']],
  [/^(norm\/qk|elementwise\/gated)/, ['model/families']],
];

/** In a copy of the project, by the tests that are to notice. */
async function byTests(
  copy: () => string,
  path: string,
  site: Site,
  limit: number,
): Promise<Fate | undefined> {
  const tests = TESTS.find(([pattern]) => pattern.test(path))?.[1];
  if (tests === undefined) return undefined;
  const file = join(copy(), 'shaders', path);
  const before = readFileSync(file, 'utf8');
  writeFileSync(file, site.text);
  const run = await runTests(copy(), { tests }, limit);
  writeFileSync(file, before);
  if (run.state === 'passed') return { fate: 'survived' };
  if (run.state === 'hung') return { fate: 'hung' };
  if (run.state === 'no tests') return { fate: 'invalid', message: 'no tests' };
  return { fate: 'caught', message: `by the test ${run.failed ?? ''}` };
}

async function main({ only, json, clamps = false, limit, most, kinds }: Options): Promise<number> {
  const platform = nodePlatform();
  const pattern = new RegExp(only ?? '');
  const jobs = platform
    .shaderPaths()
    .flatMap((path) => sitesOf(platform.shaderSource(path)).map((site) => ({ path, site })))
    .filter(({ site }) => clamps || site.kind !== 'clamp')
    .filter(({ path, site }) => pattern.test(`${site.kind} ${path}:${site.line} ${site.context}`));
  const worker = new Worker();
  process.on('exit', () => worker.end());
  let uses: Use[] = [];
  if (jobs.some(({ site }) => site.kind !== 'barrier')) {
    const asked = { what: 'survey', kinds: kinds.split(',') as KernelKind[] } as const;
    const found = await worker.ask<{ uses?: Use[]; message?: string }>(asked, 3600);
    if (found === 'hung' || found.uses === undefined)
      throw new Error(found === 'hung' ? 'the cases do not end' : found.message);
    uses = found.uses;
    say(`${uses.length} cases with their variants and kinds.`);
  }
  const copy = once(() => {
    const folder = join(scratchFolder(), 'copy');
    mkdirSync(folder);
    copyTree(folder);
    return folder;
  });
  const judged: Judged[] = [];
  for (const { path, site } of jobs) {
    const own = usesOf(path, uses, most);
    const ask: Ask =
      site.kind === 'barrier'
        ? { what: 'barrier', path, text: site.text }
        : { what: 'bound', path, text: site.text, uses: own };
    const tested = site.kind === 'barrier' ? undefined : await byTests(copy, path, site, limit);
    const answer = tested ?? (await worker.ask<Fate>(ask, limit));
    const fate: Fate = answer === 'hung' ? { fate: 'hung' } : answer;
    const argument = fate.fate === 'survived' ? exceptionOf(path, site) : undefined;
    judged.push({ ...fate, path, site, argument });
    const word = fate.fate === 'survived' ? (argument === undefined ? 'SURVIVED' : 'argued') : fate.fate;
    say(`${word.padEnd(8)} ${site.kind.padEnd(7)} ${path}:${site.line} ${site.what}${told(fate)}`);
  }
  worker.end();
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(judged.map(plain), null, 1)}\n`);
  return summary(judged);
}

function told({ use, strict, message }: Fate): string {
  if (use !== undefined) {
    return `  by ${use.family}/${use.name}, ${use.variant}, kind ${use.kind}${strict === true ? ', with guards' : ''}`;
  }
  return message === undefined ? '' : `  ${message.split('\n')[0] ?? ''}`;
}

/** All but the shader's text. */
const plain = ({ site: { kind, line, what, context }, ...rest }: Judged): object => ({
  ...rest,
  site: { kind, line, what, context },
});

function summary(judged: readonly Judged[]): number {
  let open = 0;
  for (const kind of ['barrier', 'bound', 'clamp'] satisfies Kind[]) {
    const own = judged.filter(({ site }) => site.kind === kind);
    const count = (fate: Fate['fate']): number => own.filter((one) => one.fate === fate).length;
    const argued = own.filter(({ argument }) => argument !== undefined).length;
    const survived = count('survived') - argued;
    const broken = count('invalid') + count('failed');
    open += survived + broken;
    say(
      `${kind}: ${own.length}, ${count('caught') + count('hung')} caught, ${argued} argued, ${survived} survived` +
        (broken === 0 ? '' : `, ${broken} say nothing`),
    );
  }
  say(open === 0 ? 'pass' : `FAIL: ${open}`);
  return open === 0 ? 0 : 1;
}

const program = new Command('mutate:shaders')
  .description('Takes barriers and tests of bounds out of the shaders, one at a time: which are not missed?')
  .option('--only <pattern>', 'those whose kind, place or line match: "^bound gemm/"')
  .option('--clamps', 'also what min holds within bounds: most are of loads whose value nobody uses')
  .option('--json <file>', 'all results, as JSON')
  .option('--kinds <list>', 'for which hardware kernels are chosen', 'gpu,software')
  .option('--most <n>', 'cases with variants to run for each, the smallest first', atLeast(2), 24)
  .option('--limit <seconds>', 'for one; longer counts as caught', atLeast(1), 300);
try {
  process.exitCode = await main(program.parse().opts<Options>());
} catch (error) {
  process.stderr.write(`mutate:shaders: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
