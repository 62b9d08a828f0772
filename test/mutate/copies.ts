/** Copies of the working tree to plant faults in. The tree itself is only read. */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesBelow } from '../hygiene/source-files.ts';
import { placesIn, type Mutant } from './mutant.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** An empty folder that is gone when the process ends, however it does. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'moebius-mutate-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

/** The working tree's files in `folder`. Packages are links, in a folder of its own that tools may write to. */
export function copyTree(folder: string): void {
  for (const path of filesBelow('.')) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    copyFileSync(join(ROOT, path), join(folder, path));
  }
  mkdirSync(join(folder, 'node_modules'));
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    if (name.startsWith('.vite')) continue;
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
  }
}

/**
 * Plants a fault in a copy. @returns what takes it out again.
 * @throws Error when its place is not there exactly once.
 */
export function plant(folder: string, mutant: Mutant): () => void {
  const path = join(folder, mutant.file);
  const text = readFileSync(path, 'utf8');
  const places = placesIn(text, mutant);
  if (places !== 1)
    throw new Error(`${mutant.file} has "${mutant.find}" ${places} times; it must be there once`);
  writeFileSync(
    path,
    text.replace(mutant.find, () => mutant.replace),
  );
  return () => writeFileSync(path, text);
}
