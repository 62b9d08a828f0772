/** One target: its driver compiles the kernels in a process of its own, and what the layer wrote down is read. */
import { execFile, type ExecFileException } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { ConfigError } from '../../src/core/errors.ts';
import type { Captured, Index } from './capture.ts';
import { EXCEPTIONS } from './exceptions.ts';
import { matricesIn, matricesOf } from './isa-text.ts';
import { shareOf, type Share } from './model.ts';
import { spillsOf, statisticsOf, type Statistics } from './statistics.ts';
import type { Target } from './targets.ts';

const run = promisify(execFile);
const HERE = import.meta.dirname;
const CHECKOUT = resolve(HERE, '../..');
const RADV = '/usr/share/vulkan/icd.d/radeon_icd.json';

/** Instructions of matrix units. */
export interface Matrices {
  /** In the whole text. */
  readonly emitted: number;
  /** In one turn of the loop, where the text's loops are read. */
  readonly turn?: number;
}

/** A kernel as one target's compiler made it. */
export interface KernelRow {
  readonly kernel: string;
  readonly shader: string;
  /** By the registry, asked for no variant. */
  readonly chosen: boolean;
  readonly uses: readonly string[];
  readonly measured?: Statistics;
  /** Modelled: see `model.ts`. */
  readonly modelled?: Share;
  /** Of kernels for matrix units. */
  readonly matrices?: Matrices;
  readonly error?: string;
  readonly spills: boolean;
  /** Why it may. */
  readonly excepted?: string;
}

export interface TargetResult {
  readonly target: string;
  readonly gpu: string;
  readonly driver: string;
  readonly strict: boolean;
  /** As the driver lists them. */
  readonly matrixUnits: readonly string[];
  /** What cannot be had there, and why. */
  readonly refused: Index['refused'];
  readonly kernels: readonly KernelRow[];
}

export interface Compilers {
  /** Where results lie while they are read. */
  readonly folder: string;
  /** The newer Mesa. */
  readonly root: string;
  readonly only: string;
  readonly chosenOnly: boolean;
}

/** Why a target cannot be compiled for here; undefined when it can. */
export function missing(target: Target, { root }: Pick<Compilers, 'root'>): string | undefined {
  if (target.node === undefined) {
    return existsSync(RADV)
      ? undefined
      : "Mesa's RADV is not installed (Debian: mesa-vulkan-drivers of Mesa 25 or older)";
  }
  const needed = [`usr/share/vulkan/icd.d/${target.node.icd}_icd.json`, 'usr/bin/gcc', 'usr/bin/node'];
  return needed.every((path) => existsSync(join(root, path)))
    ? undefined
    : `there is no newer Mesa with its tools in ${root} (bench/isa/native/newer-mesa.sh makes one)`;
}

/** Builds the layer, for this machine. @throws ConfigError without a compiler of C or Vulkan's headers. */
export async function buildLayer(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const library = join(folder, 'libisa_layer.so');
  await copyFile(join(HERE, 'native/isa_layer.json'), join(folder, 'isa_layer.json'));
  try {
    await run('gcc', [
      '-O1',
      '-shared',
      '-fPIC',
      '-fvisibility=hidden',
      '-o',
      library,
      join(HERE, 'native/layer.c'),
    ]);
  } catch {
    throw new ConfigError(
      'bench:isa builds a Vulkan layer: it needs gcc and vulkan/vulkan.h (Debian: gcc, libvulkan-dev).',
    );
  }
}

const LAYER = {
  VK_INSTANCE_LAYERS: 'VK_LAYER_MOEBIUS_isa',
  MESA_SHADER_CACHE_DISABLE: 'true',
};

/** The command that has the kernels compiled, and its environment. */
async function commandOf(target: Target, { folder, root, only, chosenOnly }: Compilers) {
  const results = join(folder, target.name);
  const capture = [
    ...['node', '--import', './src/cli/typescript.js', 'bench/isa/capture.ts', results, target.adapter],
    ...['--only', only, ...(chosenOnly ? ['--chosen'] : [])],
  ];
  const { node, family = '' } = target;
  const layer = { ...LAYER, VK_LAYER_PATH: folder };
  if (node === undefined) {
    const env = { XDG_RUNTIME_DIR: folder, ...layer, VK_DRIVER_FILES: RADV, RADV_FORCE_FAMILY: family };
    return { command: capture, env: { ...process.env, ...env } };
  }
  const { driver, chip, vendor, device, icd, local } = node;
  const inside = [join(HERE, 'native/in-newer-mesa.sh'), root, CHECKOUT, folder, vendor, device, driver];
  const library = join(folder, 'librender_node.so');
  // Built where it runs, against that C library.
  const source = join(HERE, 'native/render-node.c');
  await run('bash', [...inside, 'gcc', '-O1', '-shared', '-fPIC', '-o', library, source, '-ldl']);
  const env = {
    ...{ ...layer, VK_DRIVER_FILES: `/usr/share/vulkan/icd.d/${icd}_icd.json`, LD_PRELOAD: library },
    ...{ RENDER_NODE: `${driver}:${chip}`, ...(local === true && { RENDER_NODE_MEMORY: '1' }) },
  };
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return { command: ['bash', ...inside, ...variables, ...capture], env: process.env };
}

/** Compiles the kernels for a target. @throws ConfigError when its driver makes no device. */
export async function compileFor(target: Target, compilers: Compilers): Promise<TargetResult> {
  const results = join(compilers.folder, target.name);
  await rm(results, { recursive: true, force: true });
  await mkdir(results, { recursive: true });
  const { command, env } = await commandOf(target, compilers);
  const [program = '', ...args] = command;
  try {
    await run(program, args, { cwd: CHECKOUT, env, maxBuffer: 1 << 26 });
  } catch (error) {
    const said = (error as ExecFileException).stderr?.trim().split('\n').slice(-3).join(' ') ?? String(error);
    throw new ConfigError(`${target.name}: no device of ${target.adapter} compiles here. ${said}`);
  }
  const index = JSON.parse(await readFile(join(results, 'index.json'), 'utf8')) as Index;
  const kernels = await Promise.all(index.kernels.map((kernel) => rowOf(target, results, kernel)));
  const { adapter, matrixUnits, refused } = index;
  kernels.sort((a, b) => (a.kernel < b.kernel ? -1 : 1));
  return {
    ...{ target: target.name, gpu: adapter.name, driver: adapter.driver, strict: target.strict },
    ...{ matrixUnits, refused, kernels },
  };
}

const textOf = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);

const turnOf = (turn: number | undefined): Pick<Matrices, 'turn'> => (turn === undefined ? {} : { turn });

async function rowOf(target: Target, folder: string, captured: Captured): Promise<KernelRow> {
  const { kernel, shader, spec, chosen, uses, error } = captured;
  const [stats, text] = await Promise.all([
    textOf(join(folder, `${kernel}.stats`)),
    textOf(join(folder, `${kernel}.asm`)),
  ]);
  const measured = stats === undefined ? undefined : statisticsOf(stats);
  const modelled =
    measured === undefined || text === undefined || target.machine === undefined
      ? undefined
      : shareOf({ shader, spec }, text, measured.wave, target.machine);
  const matrices =
    measured === undefined || text === undefined || !shader.endsWith('/matrix.wgsl')
      ? undefined
      : { emitted: matricesIn(text), ...turnOf(matricesOf(text, measured.wave)) };
  const excepted = EXCEPTIONS[target.name]?.find((exception) => exception.kernel.test(kernel))?.why;
  return {
    ...{ kernel, shader, chosen, uses, spills: measured !== undefined && spillsOf(measured) },
    ...(measured && { measured }),
    ...(modelled && { modelled }),
    ...(matrices && { matrices }),
    ...(error !== undefined && { error }),
    ...(excepted !== undefined && { excepted }),
  };
}

/** Exceptions of a target that none of its chosen kernels needs, where all were compiled. */
export function idleExceptions({ target, kernels }: Pick<TargetResult, 'target' | 'kernels'>): string[] {
  const needed = kernels.filter(({ chosen, spills }) => chosen && spills);
  return (EXCEPTIONS[target] ?? [])
    .filter(({ kernel: name }) => !needed.some(({ kernel }) => name.test(kernel)))
    .map(({ kernel }) => `${target}: ${kernel.source}`);
}

/** Chosen kernels that spill, or were not compiled, without being excepted. */
export function faultsOf({ kernels }: TargetResult): KernelRow[] {
  return kernels.filter(
    ({ chosen, spills, excepted, measured }) =>
      chosen && (measured === undefined || (spills && excepted === undefined)),
  );
}
