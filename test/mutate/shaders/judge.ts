/** Judges a shader without a part of it: by the search for races, by cases of kernels, by tests. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { once } from '../../../src/core/async/once.ts';
import type { KernelKind } from '../../../src/platform/platform.ts';
import { textOf } from '../../hygiene/source-files.ts';
import { copyTree, scratchFolder } from '../copies.ts';
import type { Watch } from '../mutant.ts';
import { runTests } from '../run-tests.ts';
import { type Ask, type By, byRun, type Fate, keyOf, type Run, type Use } from './messages.ts';
import { Worker } from './process.ts';
import type { Site } from './sites.ts';
import { runBy, runsOf } from './uses.ts';

/** Tests of what cases of kernels do not run. */
const TESTS: readonly (readonly [path: RegExp, watch: Watch])[] = [
  [/^probes\//, { tests: ['measure/probe-edges.test.ts'] }],
  [/^gemm\//, { tests: ['ops/wide-scales.shared.test.ts'], only: 'matmul' }],
  [/^experts\//, { tests: ['ops/wide-scales.shared.test.ts'], only: 'moe in|an up projection' }],
  [/^attention\//, { tests: ['ops/attention/attention-special.shared.test.ts'] }],
];

/** Their tests run on every adapter. The others' run where cases do: elsewhere the shader is not compiled. */
const OF_NO_CASE = /^probes\//;

const watchOf = (path: string): Watch | undefined => TESTS.find(([pattern]) => pattern.test(path))?.[1];

const hashOf = (...texts: string[]): string =>
  createHash('sha256').update(texts.join('\0')).digest('hex').slice(0, 12);

const SCENES = ['test/hygiene/barrier-scenes.ts', 'test/hygiene/races.ts', 'src/validate/races/interpret.ts'];

/** The same while the search for races is. */
const racesKey = once(() => `races ${hashOf(...SCENES.map(textOf))}`);

/** An adapter's process, with what the cases compile there. */
class Driver {
  readonly name: string;
  readonly worker: Worker;
  readonly uses: () => Promise<readonly Use[]>;

  constructor(
    name: string,
    kinds: readonly KernelKind[],
    say: (line: string) => void,
    env: Readonly<Record<string, string>>,
  ) {
    this.name = name;
    this.worker = new Worker(env);
    this.uses = once(async () => {
      const asked = { what: 'survey', kinds } as const;
      const found = await this.worker.ask<{ uses?: Use[]; message?: string }>(asked, 3600);
      if (!('answer' in found)) throw new Error(`the cases do not end on ${name}`);
      const { uses, message } = found.answer;
      if (uses === undefined) throw new Error(`${name}: ${message ?? ''}`);
      say(`${uses.length} cases with their variants and kinds on ${name}.`);
      return uses;
    });
  }

  /** The same while the test that watches a shader is. */
  testKey({ tests, only }: Watch): string {
    return `test ${hashOf(this.name, String(only), ...tests.map((path) => textOf(`test/${path}`)))}`;
  }
}

export interface JudgeOptions {
  readonly kinds: readonly KernelKind[];
  /** By MOEBIUS_ADAPTER's names, in the order in which they are asked. */
  readonly adapters: readonly string[];
  /** A Vulkan driver's JSON file: the last. */
  readonly matrixDriver?: string | undefined;
  /** Seconds. */
  readonly limit: number;
  /** Cases of each way to compile a shader, at first. */
  readonly most: number;
}

/** What is known of a part of a shader before it is judged. */
export interface Known {
  /** Of an earlier run. */
  readonly kept: Fate | undefined;
  /** Who noticed once. */
  readonly by: By | undefined;
  /** What cannot be told is looked for in some cases only. */
  readonly isArgued: boolean;
}

/** A shader without a part of it, and what did not notice. */
interface Subject {
  readonly path: string;
  /** The whole shader. */
  readonly source: string;
  readonly site: Site;
  readonly tried: Set<string>;
}

export class Judge {
  readonly #drivers: Driver[];
  readonly #limit: number;
  readonly #most: number;
  /** Of the project, in which tests run. */
  readonly #copy = once(() => {
    const folder = join(scratchFolder(), 'copy');
    mkdirSync(folder);
    copyTree(folder);
    return folder;
  });

  constructor({ kinds, adapters, matrixDriver, limit, most }: JudgeOptions, say: (line: string) => void) {
    this.#drivers = adapters.map((name) => new Driver(name, kinds, say, { MOEBIUS_ADAPTER: name }));
    if (matrixDriver !== undefined) {
      const env = { VK_DRIVER_FILES: matrixDriver, VK_ICD_FILENAMES: matrixDriver, MOEBIUS_ADAPTER: '' };
      this.#drivers.push(new Driver('matrix', kinds, say, env));
    }
    [this.#limit, this.#most] = [limit, most];
  }

  /** @param source the whole shader. */
  async fateOf(path: string, source: string, site: Site, known: Known): Promise<Fate> {
    if (known.kept !== undefined && (await this.#holds(path, known.kept))) return known.kept;
    const tried = new Set(known.kept?.fate === 'survived' ? known.kept.keys : []);
    const subject = { path, source, site, tried };
    const steps = site.kind === 'barrier' ? [() => this.#byRaces(subject)] : this.#steps(subject, known);
    let last: Fate = { fate: 'survived' };
    for (const step of steps) {
      const fate = await step();
      if (fate.fate !== 'survived') return fate;
      if (fate.message !== undefined) last = fate;
    }
    if (site.kind === 'bound' && !(await this.#isRun(path))) last = absence(source);
    return last.fate === 'survived' ? { ...last, keys: [...tried] } : last;
  }

  async #isRun(path: string): Promise<boolean> {
    for (const driver of this.#drivers) {
      if ((await driver.uses()).some(({ shaders }) => shaders[path] !== undefined)) return true;
    }
    return false;
  }

  /** Who noticed once is asked first; then on every adapter what is quick, then what is not. */
  #steps(subject: Subject, { by, isArgued }: Known): (() => Promise<Fate>)[] {
    const { path } = subject;
    const named = this.#drivers.filter(({ name }) => by?.how !== 'races' && by?.adapter === name);
    const byWitness = async (driver: Driver): Promise<Fate> => {
      if (by?.how === 'test') return this.#byTests(driver, subject);
      const run = runBy(path, await driver.uses(), by);
      return this.#byRuns(driver, subject, run === undefined ? [] : [run]);
    };
    const byFirst = async (driver: Driver): Promise<Fate> => {
      const { first } = runsOf(path, await driver.uses(), this.#most);
      return this.#byRuns(driver, subject, isArgued ? first.slice(0, this.#most) : first);
    };
    const byRest = async (driver: Driver): Promise<Fate> => {
      const { first, rest } = runsOf(path, await driver.uses(), this.#most);
      const isHere = first.length > 0 || OF_NO_CASE.test(path);
      const fate = isHere ? await this.#byTests(driver, subject) : undefined;
      return fate === undefined || fate.fate === 'survived' ? this.#byRuns(driver, subject, rest) : fate;
    };
    const byRaces = async (): Promise<Fate> => {
      // A tree of sums whose lanes all add reads what others write.
      const race = await this.#byRaces(subject);
      return race.message?.startsWith('races') === true ? race : { fate: 'survived' };
    };
    return [
      ...named.map((driver) => () => byWitness(driver)),
      byRaces,
      ...this.#drivers.map((driver) => () => byFirst(driver)),
      ...(isArgued ? [] : this.#drivers.map((driver) => () => byRest(driver))),
    ];
  }

  /** Whether what noticed in an earlier run is still the same. */
  async #holds(path: string, kept: Fate): Promise<boolean> {
    const { fate, keys = [] } = kept;
    if (fate !== 'caught' && fate !== 'hung') return false;
    const watch = watchOf(path);
    const there = new Set([racesKey()]);
    for (const driver of this.#drivers) {
      if (watch !== undefined) there.add(driver.testKey(watch));
      if (keys.every((key) => there.has(key))) break;
      for (const { id } of await driver.uses()) there.add(id).add(`${id} in pieces`);
    }
    return keys.length > 0 && keys.every((key) => there.has(key));
  }

  async #byRaces({ path, site: { text }, tried }: Subject): Promise<Fate> {
    const [driver] = this.#drivers;
    if (driver === undefined || tried.has(racesKey())) return { fate: 'survived' };
    const fate = await this.#ask(driver, { what: 'barrier', path, text });
    if (fate.fate === 'survived') tried.add(racesKey());
    return fate.fate === 'caught' ? { ...fate, keys: [racesKey()] } : fate;
  }

  async #byRuns(driver: Driver, subject: Subject, runs: readonly Run[]): Promise<Fate> {
    const { path, source, site, tried } = subject;
    const open = runs.filter((run) => !tried.has(keyOf(run)));
    if (open.length === 0) return { fate: 'survived' };
    const asked = { what: 'bound', path, adapter: driver.name } as const;
    const fate = await this.#ask(driver, { ...asked, text: site.text, runs: open }, open);
    if (fate.fate === 'survived') for (const run of open) tried.add(keyOf(run));
    if (fate.fate !== 'hung') return fate;
    // So does a process that had no memory left.
    const at = open.filter((run) => fate.keys?.includes(keyOf(run)) === true);
    const whole = await this.#ask(driver, { ...asked, text: source, runs: at }, at);
    return whole.fate === 'survived'
      ? fate
      : { fate: 'failed', message: 'it does not end with the whole shader' };
  }

  async #ask({ worker, name }: Driver, ask: Ask, runs: readonly Run[] = []): Promise<Fate> {
    const given = await worker.ask<Fate>(ask, this.#limit);
    if ('answer' in given) {
      // A device that is lost stays so.
      if (given.answer.fate === 'failed') worker.end();
      return given.answer;
    }
    const run = runs.find((one) => keyOf(one) === given.hungAt);
    return { fate: 'hung', ...(run && { by: byRun(run, name), keys: [keyOf(run)] }) };
  }

  /** In a copy of the project, by the tests that are to notice. */
  async #byTests(driver: Driver, { path, site, tried }: Subject): Promise<Fate> {
    const watch = watchOf(path);
    if (watch === undefined) return { fate: 'survived' };
    const key = driver.testKey(watch);
    if (tried.has(key)) return { fate: 'survived' };
    const file = join(this.#copy(), 'shaders', path);
    const before = readFileSync(file, 'utf8');
    writeFileSync(file, site.text);
    const { env } = driver.worker;
    const run = await runTests(this.#copy(), { ...watch, env }, 4 * this.#limit);
    writeFileSync(file, before);
    if (run.state === 'no tests') return { fate: 'invalid', message: 'no tests' };
    if (run.state === 'passed') {
      tried.add(key);
      return { fate: 'survived' };
    }
    const noticed = { by: { how: 'test', adapter: driver.name }, keys: [key] } as const;
    if (run.state === 'hung') return { fate: 'hung', ...noticed };
    return { fate: 'caught', ...noticed, message: `by the test ${run.failed ?? ''}` };
  }

  end(): void {
    for (const { worker } of this.#drivers) worker.end();
  }
}

/** Of a shader that no case runs here. */
function absence(source: string): Fate {
  const [, enabled = ''] = /^enable ([^;]+);/m.exec(source) ?? [];
  if (enabled === '') return { fate: 'survived', message: 'no case runs it' };
  return { fate: 'absent', message: `no case runs it on this adapter: it needs ${enabled}` };
}
