/** Writes the text of `shaders/lib` into every shader that has a copy. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { libraryOf, withLibrary } from './shader-lib.ts';

const ROOT = fileURLToPath(new URL('../../shaders/', import.meta.url));
const textOf = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const paths = readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter((path) =>
  path.endsWith('.wgsl'),
);
const inLibrary = (path: string): boolean => /^lib[/\\]/.test(path);
const library = libraryOf(paths.filter(inLibrary).map(textOf));
for (const path of paths.filter((one) => !inLibrary(one)).sort()) {
  const before = textOf(path);
  const after = withLibrary(before, library);
  if (after === before) continue;
  writeFileSync(join(ROOT, path), after);
  console.log(`shaders/${path}`);
}
