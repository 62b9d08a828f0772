/**
 * `npm run mutate:shaders`: takes every barrier and every test of a bound out of the shaders, one at a time, and lists
 * those that no check misses. Barriers are judged by the search for races, bounds by the kernel cases on an adapter.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { atLeast } from '../../../src/cli/options.ts';
import { once } from '../../../src/core/async/once.ts';
import { at } from '../../../src/core/math.ts';
import { nodePlatform } from '../../../src/platform/node/node.ts';
import type { KernelKind } from '../../../src/platform/platform.ts';
import { copyTree, scratchFolder } from '../copies.ts';
import type { Watch } from '../mutant.ts';
import { runTests } from '../run-tests.ts';
import { exceptionOf } from './exceptions.ts';
import { Kept } from './kept.ts';
import type { Ask, Fate, Use } from './messages.ts';
import { Worker } from './process.ts';
import { sitesOf, type Kind, type Site } from './sites.ts';

interface Options {
  readonly only?: string;
  readonly json?: string;
  readonly results?: string;
  readonly matrixDriver?: string;
  readonly clamps?: boolean;
  readonly limit: number;
  readonly most: number;
  readonly kinds: string;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

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
const TESTS: readonly (readonly [path: RegExp, watch: Watch])[] = [
  [/^probes\//, { tests: ['measure/probe-edges.test.ts'] }],
  [/^gemm\//, { tests: ['ops/wide-scales.shared.test.ts'], only: 'matmul' }],
  [/^experts\//, { tests: ['ops/wide-scales.shared.test.ts'], only: 'moe in|an up projection' }],
  [/^attention\//, { tests: ['ops/attention/attention-special.shared.test.ts'] }],
];

/** A driver's process, with what the cases compile there. */
class Driver {
  readonly worker: Worker;
  readonly uses: () => Promise<readonly Use[]>;

  constructor(kinds: readonly KernelKind[], env: Readonly<Record<string, string>> = {}) {
    this.worker = new Worker(env);
    this.uses = once(async () => {
      const asked = { what: 'survey', kinds } as const;
      const found = await this.worker.ask<{ uses?: Use[]; message?: string }>(asked, 3600);
      if (found === 'hung' || found.uses === undefined)
        throw new Error(found === 'hung' ? 'the cases do not end' : found.message);
      say(`${found.uses.length} cases with their variants and kinds.`);
      return found.uses;
    });
  }
}

class Judge {
  readonly #drivers: readonly Driver[];
  readonly #limit: number;
  readonly #most: number;
  /** Of the project, in which tests run. */
  readonly #copy = once(() => {
    const folder = join(scratchFolder(), 'copy');
    mkdirSync(folder);
    copyTree(folder);
    return folder;
  });

  constructor({ kinds, matrixDriver, limit, most }: Options) {
    const named = kinds.split(',') as KernelKind[];
    const first = new Driver(named);
    const [VK_DRIVER_FILES, VK_ICD_FILENAMES] = [matrixDriver ?? '', matrixDriver ?? ''];
    const second = { VK_DRIVER_FILES, VK_ICD_FILENAMES, MOEBIUS_ADAPTER: '' };
    this.#drivers = matrixDriver === undefined ? [first] : [first, new Driver(named, second)];
    [this.#limit, this.#most] = [limit, most];
  }

  async fateOf(path: string, site: Site, isArgued: boolean): Promise<Fate> {
    const { kind, text } = site;
    if (kind === 'barrier') return this.#ask(at(this.#drivers, 0), { what: 'barrier', path, text });
    let fate: Fate = { fate: 'absent' };
    for (const driver of this.#drivers) {
      const own = usesOf(path, await driver.uses(), this.#most);
      // What cannot be told is looked for in some cases only.
      if (isArgued) own.others = [];
      fate = await this.#ask(driver, { what: 'bound', path, text, ...own });
      if (fate.fate === 'survived' && !isArgued) fate = (await this.#byTests(driver, path, site)) ?? fate;
      if (fate.fate !== 'absent') break;
    }
    return fate;
  }

  async #ask({ worker }: Driver, ask: Ask): Promise<Fate> {
    const answer = await worker.ask<Fate>(ask, this.#limit);
    return answer === 'hung' ? { fate: 'hung' } : answer;
  }

  /** In a copy of the project, by the tests that are to notice. */
  async #byTests({ worker: { env } }: Driver, path: string, site: Site): Promise<Fate | undefined> {
    const watch = TESTS.find(([pattern]) => pattern.test(path))?.[1];
    if (watch === undefined) return undefined;
    const file = join(this.#copy(), 'shaders', path);
    const before = readFileSync(file, 'utf8');
    writeFileSync(file, site.text);
    const run = await runTests(this.#copy(), { ...watch, env }, 4 * this.#limit);
    writeFileSync(file, before);
    if (run.state === 'passed') return { fate: 'survived' };
    if (run.state === 'hung') return { fate: 'hung' };
    if (run.state === 'no tests') return { fate: 'invalid', message: 'no tests' };
    return { fate: 'caught', message: `by the test ${run.failed ?? ''}` };
  }

  end(): void {
    for (const { worker } of this.#drivers) worker.end();
  }
}

async function main(options: Options): Promise<number> {
  const { only, json, clamps = false, results } = options;
  const platform = nodePlatform();
  const pattern = new RegExp(only ?? '');
  const jobs = platform
    .shaderPaths()
    .flatMap((path) => sitesOf(platform.shaderSource(path)).map((site) => ({ path, site })))
    .filter(({ site }) => clamps || site.kind !== 'clamp')
    .filter(({ path, site }) => pattern.test(`${site.kind} ${path}:${site.line} ${site.context}`));
  const kept = new Kept(results);
  const judge = new Judge(options);
  process.on('exit', () => judge.end());
  const judged: Judged[] = [];
  for (const { path, site } of jobs) {
    const known = exceptionOf(path, site);
    let fate = kept.fateOf(path, site, known !== undefined);
    if (fate === undefined) {
      fate = await judge.fateOf(path, site, known !== undefined);
      kept.add(path, site, fate);
    }
    const argument = fate.fate === 'survived' ? known : undefined;
    judged.push({ ...fate, path, site, argument });
    const word = fate.fate === 'survived' ? (argument === undefined ? 'SURVIVED' : 'argued') : fate.fate;
    say(`${word.padEnd(8)} ${site.kind.padEnd(7)} ${path}:${site.line} ${site.what}${told(fate)}`);
  }
  judge.end();
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
  .option(
    '--results <file>',
    'where results are kept: what was noticed in a shader that is the same is not judged again',
  )
  .option(
    '--matrix-driver <file>',
    "a Vulkan driver's JSON file, for what the adapter lacks: the one with matrix units",
  )
  .option('--kinds <list>', 'for which hardware kernels are chosen', 'gpu,software')
  .option('--most <n>', 'cases with variants to run for each, the smallest first', atLeast(4), 16)
  .option('--limit <seconds>', 'for one case; longer counts as caught', atLeast(1), 300);
try {
  process.exitCode = await main(program.parse().opts<Options>());
} catch (error) {
  process.stderr.write(`mutate:shaders: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
