/**
 * `npm run mutate:shaders`: takes every barrier and every test of a bound out of the shaders, one at a time, and lists
 * those that no check misses. Barriers are judged by the search for races, bounds by the kernel cases on an adapter.
 */
import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { atLeast } from '../../../src/cli/options.ts';
import { at } from '../../../src/core/math.ts';
import { nodePlatform } from '../../../src/platform/node/node.ts';
import type { KernelKind } from '../../../src/platform/platform.ts';
import { exceptionOf } from './exceptions.ts';
import { Judge } from './judge.ts';
import { Kept } from './kept.ts';
import type { Fate } from './messages.ts';
import { sitesOf, type Kind, type Site } from './sites.ts';
import { placesOf, Witnesses } from './witnesses.ts';

interface Options {
  readonly only?: string;
  readonly json?: string;
  readonly results?: string;
  readonly matrixDriver?: string;
  readonly clamps?: boolean;
  readonly record?: boolean;
  readonly limit: number;
  readonly most: number;
  readonly kinds: string;
  readonly adapters: string;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

interface Judged extends Fate {
  readonly path: string;
  readonly site: Site;
  readonly argument?: string | undefined;
}

async function main(options: Options): Promise<number> {
  const { only, json, clamps = false, record = false, results, kinds, adapters, ...others } = options;
  const platform = nodePlatform();
  const pattern = new RegExp(only ?? '');
  const all = platform.shaderPaths().flatMap((path) => {
    const source = platform.shaderSource(path);
    const sites = sitesOf(source).filter(({ kind }) => clamps || kind !== 'clamp');
    const places = placesOf(path, sites);
    return sites.map((site, i) => ({ path, source, site, place: at(places, i) }));
  });
  const jobs = all.filter(({ path, site }) =>
    pattern.test(`${site.kind} ${path}:${site.line} ${site.context}`),
  );
  const kept = new Kept(results);
  const witnesses = new Witnesses();
  const lists = { kinds: kinds.split(',') as KernelKind[], adapters: adapters.split(',') };
  const judge = new Judge({ ...others, ...lists }, say);
  process.on('exit', () => judge.end());
  const judged: Judged[] = [];
  for (const { path, source, site, place } of jobs) {
    const began = performance.now();
    const known = exceptionOf(path, site);
    const before = kept.fateOf(path, site);
    const by = witnesses.of(place);
    const fate = await judge.fateOf(path, source, site, { kept: before, by, isArgued: known !== undefined });
    if (fate !== before) kept.add(path, site, fate);
    if (fate.by !== undefined) witnesses.set(place, fate.by);
    const argument = fate.fate === 'survived' ? known : undefined;
    judged.push({ ...fate, path, site, argument });
    const word = fate.fate === 'survived' ? (argument === undefined ? 'SURVIVED' : 'argued') : fate.fate;
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    say(
      `${word.padEnd(8)} ${site.kind.padEnd(7)} ${path}:${site.line} ${site.what}${told(fate)}  ${seconds} s`,
    );
  }
  judge.end();
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(judged.map(plain), null, 1)}\n`);
  if (record) witnesses.write(all.map(({ place }) => place));
  return summary(judged);
}

function told({ by, strict, message }: Fate): string {
  if (by?.how === 'case') {
    const how = `${strict === true ? ', with guards' : ''}${by.inPieces === true ? ', in pieces' : ''}`;
    return `  by ${by.family}/${by.name}, ${by.variant}, kind ${by.kind} on ${by.adapter}${how}`;
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
    'where results are kept: what was noticed in a shader that is the same is not judged again, nor run again what did not notice',
  )
  .option(
    '--adapters <list>',
    'which run cases, in this order; kernels fetch ahead on the first, and the second has f16',
    process.env['MOEBIUS_ADAPTER'] ?? 'swiftshader,llvmpipe',
  )
  .option(
    '--matrix-driver <file>',
    "a Vulkan driver's JSON file, for what the adapters lack: the one with matrix units",
  )
  .option('--kinds <list>', 'for which hardware kernels are chosen', 'gpu,software')
  .option('--record', 'notes who noticed in witnesses.jsonl, which is asked first from then on')
  .option('--most <n>', 'cases to begin with for each way in which a shader is compiled', atLeast(2), 6)
  .option('--limit <seconds>', 'for one case; longer counts as caught', atLeast(1), 300);
try {
  process.exitCode = await main(program.parse().opts<Options>());
} catch (error) {
  process.stderr.write(`mutate:shaders: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
