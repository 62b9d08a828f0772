/** Every export of the package says what it is: a summary at its declaration, not only comments on its members or tags. */
import { relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const BARRELS = ['index', 'kernels', 'portable', 'web'].map((name) => `${ROOT}src/${name}.ts`);

function programOf(files: readonly string[]): ts.Program {
  const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => undefined };
  const parsed = ts.getParsedCommandLineOfConfigFile(`${ROOT}tsconfig.json`, undefined, host);
  if (parsed === undefined) throw new Error('tsconfig.json cannot be read');
  return ts.createProgram(files, parsed.options);
}

/** What the files export, each declaration once however many of them name it. */
function exportsOf(program: ts.Program, files: readonly string[]): Map<ts.Symbol, string> {
  const checker = program.getTypeChecker();
  const found = new Map<ts.Symbol, string>();
  for (const file of files) {
    const source = program.getSourceFile(file);
    const module = source && checker.getSymbolAtLocation(source);
    if (module === undefined) throw new Error(`${file} is no module`);
    for (const symbol of checker.getExportsOfModule(module)) {
      const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
      const declared = isAlias ? checker.getAliasedSymbol(symbol) : symbol;
      if (!found.has(declared)) found.set(declared, symbol.name);
    }
  }
  return found;
}

function placeOf(symbol: ts.Symbol): string {
  const file = symbol.declarations?.[0]?.getSourceFile().fileName;
  return file === undefined ? 'not declared' : relative(ROOT, file).split(sep).join('/');
}

test('every export of the package has a summary', () => {
  const program = programOf(BARRELS);
  const checker = program.getTypeChecker();
  const exported = [...exportsOf(program, BARRELS)];
  expect(exported.length).toBeGreaterThan(100);
  const bare = exported.filter(
    ([symbol]) => ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim() === '',
  );
  expect(bare.map(([symbol, name]) => `${name} in ${placeOf(symbol)}`)).toEqual([]);
});
