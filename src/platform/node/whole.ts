/** Whether a folder holds just what was once put there: a list beside the files has the size and hash of each. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

const LIST = 'whole.json';

interface Content {
  readonly bytes: number;
  readonly sha256: string;
}

async function contentOf(path: string): Promise<Content> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return { bytes: (await stat(path)).size, sha256: hash.digest('hex') };
}

/** Writes the list. @throws Error for a file that is not there. */
export async function listWhole(folder: string, files: readonly string[]): Promise<void> {
  const list: Record<string, Content> = {};
  for (const file of files) list[file] = await contentOf(join(folder, file));
  await writeFile(join(folder, LIST), JSON.stringify(list, null, 2));
}

/** False for a file that is missing, cut, or not the one that was listed, and for a list that is none. */
export async function isWhole(folder: string, files: readonly string[]): Promise<boolean> {
  try {
    const list = JSON.parse(await readFile(join(folder, LIST), 'utf8')) as Partial<Record<string, Content>>;
    // Sizes first: they cost nothing.
    for (const file of files) {
      if ((await stat(join(folder, file))).size !== list[file]?.bytes) return false;
    }
    for (const file of files) {
      if ((await contentOf(join(folder, file))).sha256 !== list[file]?.sha256) return false;
    }
    return true;
  } catch {
    return false;
  }
}
