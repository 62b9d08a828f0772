/** Where tuned choices are kept, and how a device comes to have them. */
import { dirname, join, resolve } from 'node:path';
import { AbsentFileError, ConfigError } from '../core/errors.ts';
import { requireGiven, requireGpu } from '../core/given.ts';
import { betterPeak } from '../core/peak.ts';
import { shortened } from '../core/text/quoted.ts';
import { seedOf } from '../core/random.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { FAMILIES, type VariantFamily } from '../kernels/registered/interfaces.ts';
import { registeredVariants } from '../kernels/variants.ts';
import { cacheFolder } from '../platform/node/cache-folder.ts';
import { MOST_JSON_BYTES } from '../model/safetensors/strict-json.ts';
import type { AdapterFacts } from '../platform/platform.ts';
import { formatCache, readCache, type ReadCache, type TuningCache } from '../tune/cache.ts';
import { tuningTable, type TuningTable } from '../tune/lookup.ts';
import type { TuningPoint } from '../tune/point.ts';
import { codesOf, mergePoints } from '../tune/tune.ts';
import { checkOutput, makeFolder, refusing, writeWhole } from './files/files.ts';
import { withLock } from './files/lock.ts';
import { platformHere } from './session.ts';

/** What every command that runs kernels has. */
export const TUNING_FILE = [
  '--tuning-file <file>',
  "what was tuned (default: MOEBIUS_TUNING or the user's cache folder)",
] as const;

export const NO_TUNING = ['--no-tuning', "the families' own choice of variants, whatever was tuned"] as const;

/** `MOEBIUS_TUNING` names the file; 'off' is the same as `--no-tuning`. */
const VARIABLE = 'MOEBIUS_TUNING';

export interface TuningOptions {
  /** False: the defaults of each family, whatever was tuned. */
  readonly tuning?: boolean;
  /** The cache file; by default `MOEBIUS_TUNING`, else one per adapter, driver and kind that kernels were asked for in the user's cache folder. */
  readonly tuningFile?: string;
}

/** What a command says of the tuning that it ran with. */
export interface TuningUse {
  readonly state: 'used' | 'none' | 'off' | 'ignored';
  /** One line: 'tuning: 12 entries of 2026-11-24'. */
  readonly note: string;
  readonly path?: string;
  /** Shapes at which something else than the default is taken. */
  readonly entries: number;
}

/** ~/.cache/moebius/tuning-llvmpipe-1f2e3d4c.json; undefined where no folder can be written for it. */
export async function tuningPath(facts: AdapterFacts, named?: string): Promise<string | undefined> {
  const given = named ?? process.env[VARIABLE];
  if (given !== undefined && given !== '' && given !== 'off') return resolve(given);
  const folder = await cacheFolder();
  if (folder === undefined) return undefined;
  const word = (facts.name.toLowerCase().match(/[a-z0-9]+/) ?? ['adapter'])[0];
  const id = seedOf(`${facts.name}\n${facts.driver}`).toString(16).padStart(8, '0');
  const kind = facts.kernels === undefined ? '' : `-as-${facts.kernels}`;
  return join(folder, `tuning-${word}-${id}${kind}.json`);
}

/** Never throws for what a file holds: a file that cannot be used is a warning, one that is not there is neither. */
export async function readTuningFile(path: string, facts: AdapterFacts): Promise<ReadCache | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await platformHere().readFile(path, MOST_JSON_BYTES);
  } catch (error) {
    if (error instanceof AbsentFileError) return undefined;
    return {
      warning: `tuning cache ${path} is ignored: it cannot be read. Run "moebius tune" to rebuild it.`,
    };
  }
  return readCache(bytes, path, facts);
}

const OTHER_CACHE = 'Name another place with --tuning-file.';

/** Makes the folder of a cache and tries the place. @throws ConfigError when it cannot be written. */
export async function checkTuningFile(path: string): Promise<void> {
  await makeFolder(dirname(path), OTHER_CACHE);
  await checkOutput(path, { remedy: OTHER_CACHE });
}

/** @throws ConfigError when writing a cache there would be somebody's loss. */
export function requireReplaceable(path: string, read: ReadCache | undefined): void {
  if (read?.precious === undefined) return;
  throw new ConfigError(
    `${path} would be overwritten, and ${read.precious}. Remove it, or name another file with --tuning-file.`,
  );
}

/** Writes a cache in place of whatever is there. @throws ConfigError when the place cannot be written. */
export async function writeTuningFile(path: string, cache: TuningCache): Promise<void> {
  await makeFolder(dirname(path), OTHER_CACHE);
  await writeWhole(path, formatCache(cache), OTHER_CACHE);
}

/**
 * Adds points to what the file holds by now, since another run may have written it meanwhile.
 * @returns all points that it holds then. @throws ConfigError when the place cannot be written.
 */
export async function addToTuningFile(
  path: string,
  facts: AdapterFacts,
  cacheWith: (points: readonly TuningPoint[]) => TuningCache,
  fresh: readonly TuningPoint[],
): Promise<readonly TuningPoint[]> {
  await makeFolder(dirname(path), OTHER_CACHE);
  return refusing(path, OTHER_CACHE, () =>
    withLock(path, async () => {
      const read = await readTuningFile(path, facts);
      // A run on another adapter may have put its own there meanwhile.
      requireReplaceable(path, read);
      const points = mergePoints(read?.cache?.points ?? [], fresh);
      await writeTuningFile(path, cacheWith(points));
      return points;
    }),
  );
}

/** Gives the device what was tuned for it, and the peak that was measured then, if anything. @throws ConfigError for a named file that is not there. */
export async function attachTuning(gpu: Gpu, options: TuningOptions = {}): Promise<TuningUse> {
  const { tuning, tuningFile } = options;
  gpu.tuning = undefined;
  if (tuning === false || (tuningFile === undefined && process.env[VARIABLE] === 'off')) {
    return { state: 'off', note: 'tuning: off', entries: 0 };
  }
  const path = await tuningPath(gpu.facts, tuningFile);
  if (path === undefined) {
    const note = 'tuning: none, and no folder to keep it in; name a file in MOEBIUS_TUNING';
    return { state: 'none', note, entries: 0 };
  }
  const read = await readTuningFile(path, gpu.facts);
  if (read === undefined) {
    if (tuningFile !== undefined) {
      throw new ConfigError(
        `there is no tuning file ${shortened(tuningFile)}. "moebius tune --tuning-file <file>" makes one.`,
      );
    }
    const note = process.env[VARIABLE]
      ? `tuning: none, since ${VARIABLE} names ${shortened(path)}, which is not there; "moebius tune" makes it`
      : 'tuning: none for this adapter; "moebius tune" measures it';
    return { state: 'none', note, path, entries: 0 };
  }
  if (read.cache === undefined) return { state: 'ignored', note: read.warning, path, entries: 0 };
  const table = tuningTable(read.cache.points, codesOf(gpu.platform));
  gpu.tuning = table;
  tellPeak(gpu, read.cache);
  const { entries } = table;
  const count = entries === 1 ? '1 entry' : `${entries} entries`;
  const { date, points } = read.cache;
  const note = `tuning: ${count} of ${date.slice(0, 10)} (${points.length} shapes measured)${absentText(gpu, points)}`;
  return { state: 'used', note, path, entries };
}

/** Of what was measured with the points: how long one dispatch may be follows from it. */
export function tellPeak(gpu: Gpu, { peakFlops }: Pick<TuningCache, 'peakFlops'>): void {
  if (peakFlops !== undefined) gpu.peak = betterPeak(gpu.peak, peakFlops);
}

/** What is said of choices that are not here: as a rule a user's own, whose module was not given. */
function absentText(gpu: Gpu, points: readonly TuningPoint[]): string {
  const absent = points.flatMap(({ family, choice }) => {
    if (choice === null || !Object.hasOwn(FAMILIES, family)) return [];
    const ours = FAMILIES[family as VariantFamily].variants;
    const names = [...ours, ...registeredVariants(gpu, family)].map(({ name }) => name);
    return names.includes(choice) ? [] : [choice];
  });
  if (absent.length === 0) return '';
  const names = [...new Set(absent)].join(', ');
  return `, of which ${absent.length} for ${names}, not here: if it is your own, give its module with --with`;
}

/**
 * The table of an adapter's cache for one's own use: `gpu.tuning = await loadTuning(gpu)`. Undefined without a usable one. The
 * peak that was measured with it is told to the device.
 */
export async function loadTuning(gpu: Gpu, path?: string): Promise<TuningTable | undefined> {
  requireGpu(gpu);
  if (path !== undefined) requireGiven('The path', path, 'string');
  const place = await tuningPath(gpu.facts, path);
  const read = place === undefined ? undefined : await readTuningFile(place, gpu.facts);
  if (read?.cache === undefined) return undefined;
  tellPeak(gpu, read.cache);
  return tuningTable(read.cache.points, codesOf(gpu.platform));
}
