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
import { type Ask, type Fate, GOES_ON, type Use } from './messages.ts';
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
      let timer: NodeJS.Timeout | undefined;
      const end = (): void => {
        clearTimeout(timer);
        child.removeAllListeners();
      };
      const wait = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          end();
          this.end();
          resolve('hung');
        }, 1000 * limitSeconds);
      };
      wait();
      child.on('message', (answer) => {
        if (answer === GOES_ON) return wait();
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

/** Every n-th, so that there are `count` at most. */
function some<T>(list: readonly T[], count: number): T[] {
  const step = Math.max(1, Math.ceil(list.length / count));
  return list.filter((_, i) => i % step === step - 1);
}

/**
 * What runs a shader: where least is compiled first, then the smallest; half of the rest from all sizes. Half as for a GPU.
 * Of the others one for each way in which the shader is compiled, and ten times as many of all sizes.
 */
function usesOf(path: string, uses: readonly Use[], most: number): { uses: Use[]; others: Use[] } {
  const compiled = ({ shaders }: Use): number => Object.keys(shaders).length;
  const able = uses
    .filter(({ shaders }) => shaders[path] !== undefined)
    .sort((a, b) => compiled(a) - compiled(b) || a.work - b.work);
  const those = (kind: KernelKind): Use[] => {
    const own = able.filter((use) => use.kind === kind);
    const [small, rest] = [own.slice(0, most / 4), own.slice(most / 4)];
    return [...small, ...some(rest, most / 4)];
  };
  const chosen = new Set([...those('gpu'), ...those('software')]);
  const ways = new Set([...chosen].map(({ shaders }) => shaders[path]));
  const others = new Set<Use>();
  for (const use of able) {
    if (!ways.has(use.shaders[path])) others.add(use);
    ways.add(use.shaders[path]);
  }
  const rest = able.filter((use) => !chosen.has(use) && !others.has(use));
  return {
    uses: [...chosen],
    others: [...others, ...rest.slice(0, most), ...some(rest.slice(most), 10 * most)],
  };
}

/** Tests of what cases of kernels do not run. */
const TESTS: readonly (readonly [path: RegExp, tests: readonly string[]])[] = [
  [/^probes\//, ['measure/probe-edges.test.ts']],
  [/^(gemm|experts)\//, ['ops/wide-scales.shared.test.ts']],
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
  const run = await runTests(copy(), { tests }, 4 * limit);
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
    const known = exceptionOf(path, site);
    const own = usesOf(path, uses, most);
    // What cannot be told is looked for in some cases only.
    if (known !== undefined) own.others = [];
    const ask: Ask =
      site.kind === 'barrier'
        ? { what: 'barrier', path, text: site.text }
        : { what: 'bound', path, text: site.text, ...own };
    const answer = await worker.ask<Fate>(ask, limit);
    let fate: Fate = answer === 'hung' ? { fate: 'hung' } : answer;
    if (fate.fate === 'survived' && site.kind !== 'barrier' && known === undefined) {
      fate = (await byTests(copy, path, site, limit)) ?? fate;
    }
    const argument = fate.fate === 'survived' ? known : undefined;
    judged.push({ ...fate, path, site, argument });
    const word = fate.fate === 'survived' ? (argument === undefined ? 'SURVIVED' : 'argued') : fate.fate;
    say(`${word.padEnd(8)} ${site.kind.padEnd(7)} ${path}:${site.line} ${site.what}${told(fate)}`);
  }
  worker.end();
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(judged.map(plain), null, 1)}\n`);
  return summary(judged);
}

function told({ use, strict, inPieces, message }: Fate): string {
  if (use !== undefined) {
    const how = `${strict === true ? ', with guards' : ''}${inPieces === true ? ', in pieces' : ''}`;
    return `  by ${use.family}/${use.name}, ${use.variant}, kind ${use.kind}${how}`;
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
    const absent = count('absent');
    say(
      `${kind}: ${own.length}, ${count('caught') + count('hung')} caught, ${argued} argued, ${survived} survived` +
        (absent === 0 ? '' : `, ${absent} not judged on this adapter`) +
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
  .option('--most <n>', 'cases with variants to run for each, the smallest first', atLeast(4), 16)
  .option('--limit <seconds>', 'for one case; longer counts as caught', atLeast(1), 300);
try {
  process.exitCode = await main(program.parse().opts<Options>());
} catch (error) {
  process.stderr.write(`mutate:shaders: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
