/**
 * The search for an adapter in Node: what the system's drivers offer, then the SwiftShader that npm brings.
 *
 * The Vulkan loader reads its drivers from the environment when Dawn makes an instance, so the environment says
 * which of the two is seen, for as long as the search takes.
 */
import { isMainThread } from 'node:worker_threads';
import { ConfigError, messageOf } from '../../core/errors.ts';
import { candidates, isSoftwareName, listedNames, matches, saysNothing } from '../choice.ts';
import type { AdapterChoice, AdapterFacts, AdapterKind, OpenAdapter } from '../platform.ts';
import { entryOf, installCommand } from './optional.ts';
import { loadSwiftshader, SWIFTSHADER_NAME, swiftshaderObstacle } from './swiftshader.ts';

type CreateGpu = (flags: string[]) => GPU;
type DriverSource = 'system' | 'embedded';

/** Timestamps step by 65,536 ns without the one; without the other, no adapter offers its matrix units. */
const FLAGS = ['disable-dawn-features=timestamp_quantization', 'enable-dawn-features=allow_unsafe_apis'];
const NO_SUCH_NAME = 'moebius-lists-adapters';
const DRIVER_VARIABLES = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'] as const;

const REMEDY =
  'Install a Vulkan driver (Debian 12: mesa-vulkan-drivers from bookworm-backports brings llvmpipe), ' +
  'or run on x86-64 Linux, where the npm package brings SwiftShader.';

function pointDriversAt(files: readonly (string | undefined)[]): void {
  DRIVER_VARIABLES.forEach((name, i) => {
    if (files[i] === undefined) Reflect.deleteProperty(process.env, name);
    else process.env[name] = files[i];
  });
}

/** The embedded drivers are those that the next instance sees. */
async function selectEmbedded(): Promise<void> {
  const driverFile = await loadSwiftshader();
  pointDriversAt(DRIVER_VARIABLES.map(() => driverFile));
}

async function loadBindings(): Promise<CreateGpu> {
  if (entryOf('webgpu') === undefined) {
    throw new ConfigError(
      'the package webgpu, an optional dependency, is not installed, and without its bindings to Dawn nothing computes in Node: ' +
        `every command but layout, and openGpu, needs it. Install it with "${installCommand('webgpu')}".`,
    );
  }
  try {
    return (await import('webgpu')).create;
  } catch (error) {
    throw new ConfigError(
      `the WebGPU bindings for ${process.platform}-${process.arch} do not load: ${messageOf(error)}. ` +
        `Reinstall them with "${installCommand('webgpu')}" on a platform that the package webgpu supports.`,
    );
  }
}

/** The names that Dawn gives when asked for one that does not exist; none when there is no adapter at all. */
async function list(create: CreateGpu): Promise<string[]> {
  try {
    await create([...FLAGS, `adapter=${NO_SUCH_NAME}`]).requestAdapter();
    return [];
  } catch (error) {
    return listedNames(messageOf(error));
  }
}

function kindOf(info: GPUAdapterInfo, name: string, source: DriverSource): AdapterKind {
  if (source === 'embedded') return 'embedded-software';
  const { vendor, architecture, device, description } = info;
  if (info.isFallbackAdapter || isSoftwareName(`${name} ${description}`)) return 'software';
  return saysNothing(name, vendor, architecture, device, description) ? 'unknown' : 'gpu';
}

async function open(
  create: CreateGpu,
  name: string,
  source: DriverSource,
  search: string[],
): Promise<OpenAdapter | undefined> {
  const gpu = create([...FLAGS, `adapter=${name}`]);
  const first = await gpu.requestAdapter().catch(() => null);
  if (first === null) {
    search.push(`${name} is listed but gives no adapter.`);
    return undefined;
  }
  const { vendor, architecture, description } = first.info;
  const kind = kindOf(first.info, name, source);
  search.push(`Opened ${name} (${kind}).`);
  const facts: AdapterFacts = { name, vendor, architecture, driver: description, kind, search };
  const adapter = async (): Promise<GPUAdapter> => {
    const fresh = await gpu.requestAdapter();
    if (fresh === null) throw new ConfigError(`${name} gives no adapter any more. Was its driver removed?`);
    return fresh;
  };
  return { gpu, facts, adapter };
}

/** Setting a variable in a worker changes its own copy of the environment, which no driver reads. */
function workerText(): string {
  return (
    'the SwiftShader that npm brings cannot be opened in a worker thread with an environment of its own, which its loader ' +
    'does not see. Start the worker with {env: SHARE_ENV}, or open it in the main thread.'
  );
}

/** One source after the other; the embedded one only when the choice allows it. */
async function find(create: CreateGpu, choice: AdapterChoice): Promise<OpenAdapter> {
  const search: string[] = [];
  const listed = await list(create);
  search.push(
    listed.length > 0
      ? `Dawn lists ${listed.join(' and ')} through the system's drivers.`
      : "Dawn finds no adapter through the system's drivers.",
  );
  for (const name of candidates(choice, listed)) {
    const opened = await open(create, name, 'system', search);
    if (opened !== undefined) return opened;
  }

  const obstacle = swiftshaderObstacle();
  const wanted = choice === 'auto' || matches(choice, SWIFTSHADER_NAME);
  if (obstacle === undefined && wanted) {
    await selectEmbedded();
    search.push('Loaded the SwiftShader that npm brings.');
    for (const name of candidates(choice, await list(create))) {
      const opened = await open(create, name, 'embedded', search);
      if (opened !== undefined) return opened;
    }
    search.push('It gives no adapter.');
    if (!isMainThread) throw new ConfigError(workerText());
  } else if (obstacle !== undefined) {
    search.push(`Then ${obstacle}.`);
  }

  if (choice === 'auto') throw new ConfigError(`no WebGPU adapter. ${search.join(' ')} ${REMEDY}`);
  // What was tried and gave none is no choice.
  const embedded = obstacle === undefined && !wanted ? [`${SWIFTSHADER_NAME}, embedded`] : [];
  const there = [...listed, ...embedded];
  throw new ConfigError(
    `no adapter opens for "${choice}". There is: ${there.join('; ') || 'none'}. ` +
      `${wanted ? `${search.slice(1).join(' ')} ` : ''}Choose a part of one of these names, or "auto". ${there.length > 0 ? '' : REMEDY}`.trimEnd(),
  );
}

const OPENED = Symbol.for('moebius.adapters');

/**
 * All that was opened, for the process's life: collecting a `GPU` whose devices live ends the process in native code. It
 * hangs on the bindings, which Node never lets go, since a module's own variables may be collected.
 */
interface Bindings extends CreateGpu {
  [OPENED]?: Map<string, Promise<OpenAdapter>>;
}

/** The environment is shared by all searches, so they run one after the other. */
let previous: Promise<unknown> = Promise.resolve();

/** The caller's environment is what it was when the search ends, as is what native code has of it. */
async function keepingDrivers<T>(search: () => Promise<T>): Promise<T> {
  const drivers = DRIVER_VARIABLES.map((name) => process.env[name]);
  try {
    return await search();
  } finally {
    pointDriversAt(drivers);
  }
}

/** The adapter for `choice`; `auto` reads the variable MOEBIUS_ADAPTER first. The same choice gives the same object. */
export async function openAdapter(choice: AdapterChoice): Promise<OpenAdapter> {
  const resolved = choice === 'auto' ? process.env.MOEBIUS_ADAPTER || 'auto' : choice;
  const create: Bindings = await loadBindings();
  const opened = (create[OPENED] ??= new Map());
  const known = opened.get(resolved.toLowerCase());
  if (known !== undefined) return known;
  const search = previous.then(() => keepingDrivers(() => find(create, resolved)));
  const done = (): void => undefined;
  previous = search.then(done, done);
  opened.set(resolved.toLowerCase(), search);
  search.catch(() => opened.delete(resolved.toLowerCase()));
  return search;
}
