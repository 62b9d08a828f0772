/**
 * Unpacks what the npm package `@sparticuz/chromium` carries into a per-user cache folder, once per version.
 * Several processes may do it at the same moment: each fills a folder of its own, and the first rename wins. What lies there is looked through before it is used.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream, readFileSync } from 'node:fs';
import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress } from 'node:zlib';
import { extract } from 'tar-stream';
import { codeOf, ConfigError, messageOf } from '../../core/errors.ts';
import { anyFolder } from './cache-folder.ts';
import { entryOf, installCommand } from './optional.ts';
import { isWhole, listWhole } from './whole.ts';

/** One file of the carrier's `bin` folder, without the `.br`: either a tar archive or one plain file. */
export interface Unpacking {
  /** Names the cache folder, together with the carrier's version. */
  readonly name: string;
  readonly archives: readonly string[];
  /** The files, by their base name, that must be there in the end; nothing else is kept. */
  readonly files: readonly string[];
}

/** The npm package that carries SwiftShader and a Chromium. */
export const CARRIER = '@sparticuz/chromium';

/** The carrier's folder and version. The package exports neither, so they are found from its entry. */
function carrier(): { bin: string; version: string } {
  const entry = entryOf(CARRIER);
  if (entry === undefined) {
    throw new ConfigError(
      `the optional package ${CARRIER} is not installed. Install it with "${installCommand(CARRIER)}".`,
    );
  }
  const root = join(dirname(entry), '..', '..');
  try {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    return { bin: join(root, 'bin'), version };
  } catch (error) {
    throw new ConfigError(
      `the package ${CARRIER} in ${root} is not whole: ${messageOf(error)}. Reinstall it with "${installCommand(CARRIER)}".`,
    );
  }
}

async function unpackTar(archive: string, wanted: ReadonlySet<string>, into: string): Promise<void> {
  const entries = extract();
  const reading = pipeline(createReadStream(archive), createBrotliDecompress(), entries);
  for await (const entry of entries) {
    const file = basename(entry.header.name);
    if (entry.header.type === 'file' && wanted.has(file)) {
      await pipeline(entry, createWriteStream(join(into, file)));
    } else {
      entry.resume();
    }
  }
  await reading;
}

/** Folders that were looked through by this process already, by their path. */
const known = new Set<string>();

/**
 * A copy that is not whole, for want of power or room while it was written or by another's hand, is unpacked anew.
 * @returns the folder that holds the files. @throws ConfigError when it cannot be unpacked.
 */
export async function unpackOnce(unpacking: Unpacking): Promise<string> {
  const { name, files } = unpacking;
  const { bin, version } = carrier();
  const cache = await anyFolder(name);
  const folder = join(cache, `${name}-${version}`);
  const whole = async (): Promise<boolean> => known.has(folder) || (await isWhole(folder, files));
  if (!(await whole())) {
    const fresh = join(cache, `.${name}-${randomUUID()}`);
    try {
      await mkdir(fresh);
      await unpackInto(fresh, bin, unpacking);
      await moveInPlace(fresh, folder, whole);
    } catch (error) {
      // Another process may have been faster.
      if (!(await whole())) {
        throw new ConfigError(
          `cannot unpack ${name} from ${bin} into ${cache}: ${messageOf(error)}. ` +
            `Make room there, set XDG_CACHE_HOME to another folder, or reinstall with "${installCommand(CARRIER)}".`,
        );
      }
    } finally {
      await rm(fresh, { recursive: true, force: true });
    }
  }
  known.add(folder);
  return folder;
}

async function unpackInto(fresh: string, bin: string, { archives, files }: Unpacking): Promise<void> {
  const wanted = new Set(files);
  for (const archive of archives) {
    const source = join(bin, `${archive}.br`);
    if (archive.endsWith('.tar')) await unpackTar(source, wanted, fresh);
    else {
      const target = createWriteStream(join(fresh, archive));
      await pipeline(createReadStream(source), createBrotliDecompress(), target);
    }
  }
  await Promise.all(files.map((file) => chmod(join(fresh, file), 0o755)));
  await listWhole(fresh, files);
}

/** What is in the way and not whole goes aside in one step, so that no one sees it half removed. */
async function moveInPlace(fresh: string, folder: string, whole: () => Promise<boolean>): Promise<void> {
  const aside = `${fresh}-old`;
  if (!(await whole())) {
    await rename(folder, aside).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error;
    });
  }
  try {
    await rename(fresh, folder);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}
