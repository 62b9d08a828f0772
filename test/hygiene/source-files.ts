/** The project's own files, as the hygiene tests see them. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NOT_OURS = new Set([
  'node_modules',
  '.git',
  'coverage',
  'dist',
  'api-docs',
  'results',
  '.vitest-attachments',
  '__pycache__',
]);

/** All files below a folder of the project, as paths from its root with `/`. None when there is no such folder. */
export function filesBelow(folder: string): string[] {
  const walk = (absolute: string): string[] => {
    const entries = readdirSync(absolute, { withFileTypes: true }).filter(
      (entry) => !NOT_OURS.has(entry.name),
    );
    return entries.flatMap((entry) => {
      const path = join(absolute, entry.name);
      if (entry.isDirectory()) return walk(path);
      return entry.isFile() ? [relative(ROOT, path).split(sep).join('/')] : [];
    });
  };
  try {
    return walk(join(ROOT, folder)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

export function isScript(path: string): boolean {
  return /\.(tsx?|js|mjs)$/.test(path);
}

export function textOf(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** What a file imports, types included: relative specifiers as paths from the root, others as they stand. */
export function importsOf(path: string): string[] {
  const { importedFiles } = ts.preProcessFile(textOf(path), true, true);
  return importedFiles.map(({ fileName }) =>
    fileName.startsWith('.') ? posix.join(dirname(path), fileName) : fileName,
  );
}

export function parse(path: string): ts.SourceFile {
  return ts.createSourceFile(path, textOf(path), ts.ScriptTarget.Latest, true);
}

/** All string literals of a file, template texts without substitutions included. */
export function stringsOf(path: string): string[] {
  const strings: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node)) strings.push(node.text);
    ts.forEachChild(node, visit);
  };
  visit(parse(path));
  return strings;
}
