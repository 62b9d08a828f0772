/**
 * Unpacks what the npm package `@sparticuz/chromium` carries into a per-user cache folder, once per version.
 * Several processes may do it at the same moment: each fills a folder of its own, and the first rename wins.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress } from 'node:zlib';
import { extract } from 'tar-stream';
import { anyFolder } from './cache-folder.ts';

/** One file of the carrier's `bin` folder, without the `.br`: either a tar archive or one plain file. */
export interface Unpacking {
  /** Names the cache folder, together with the carrier's version. */
  readonly name: string;
  readonly archives: readonly string[];
  /** The files, by their base name, that must be there in the end; nothing else is kept. */
  readonly files: readonly string[];
}

/** The carrier's folder and version. The package exports neither, so they are found from its entry. */
function carrier(): { bin: string; version: string } {
  const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium');
  const root = join(dirname(entry), '..', '..');
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return { bin: join(root, 'bin'), version };
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

/** @returns the folder that holds the files. */
export async function unpackOnce({ name, archives, files }: Unpacking): Promise<string> {
  const { bin, version } = carrier();
  const cache = await anyFolder(name);
  const folder = join(cache, `${name}-${version}`);
  const complete = (): boolean => files.every((file) => existsSync(join(folder, file)));
  if (complete()) return folder;

  const fresh = join(cache, `.${name}-${randomUUID()}`);
  await mkdir(fresh);
  try {
    const wanted = new Set(files);
    for (const archive of archives) {
      const source = join(bin, `${archive}.br`);
      if (archive.endsWith('.tar')) await unpackTar(source, wanted, fresh);
      else
        await pipeline(
          createReadStream(source),
          createBrotliDecompress(),
          createWriteStream(join(fresh, archive)),
        );
    }
    await Promise.all(files.map((file) => chmod(join(fresh, file), 0o755)));
    // A folder that lost files (cleaners of temporary folders do that) is in the way of the rename.
    if (existsSync(folder) && !complete()) await rm(folder, { recursive: true, force: true });
    await rename(fresh, folder);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    if (!complete()) throw error;
  }
  return folder;
}
