/** Files stay small, and say nothing about the machine that they were written on. */
import { describe, expect, test } from 'vitest';
import ts from 'typescript';
import { filesBelow, isScript, parse, textOf } from './source-files.ts';

const MAX_LINES = 350;

/** Written in parts, so that this file does not find itself. */
const FORBIDDEN: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['a path of a developer machine', new RegExp(['/wo' + 'rk/', '/ro' + 'ot/', '/ho' + 'me/\\w'].join('|'))],
  ['a mark for work left undone', new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X'].join('|')})\\b`)],
];

/** Formats of our own hand; not lock files, not weights. */
const WRITTEN = /(\.(tsx?|js|mjs|wgsl|py|md|html|css|json|yml|yaml|toml|svg)|\.ci\/\w+|ignore)$/;
const written = filesBelow('.').filter(
  (path) => WRITTEN.test(path) && !/(^|\/)package-lock\.json$/.test(path),
);

function lines(text: string): string[] {
  return text.replace(/\n$/, '').split('\n');
}

test.each(['src', 'test', 'bench'])(`no file in %s is longer than ${MAX_LINES} lines`, (folder) => {
  const long = filesBelow(folder)
    .filter(isScript)
    .map((path) => ({ path, count: lines(textOf(path)).length }))
    .filter(({ count }) => count > MAX_LINES)
    .map(({ path, count }) => `${path}: ${count}`);
  expect(long).toEqual([]);
});

describe('what is written', () => {
  test('is found', () => {
    expect(written).toEqual(expect.arrayContaining(['package.json', 'src/core/math.ts']));
  });

  test.each(FORBIDDEN)('holds no %s', (_what, pattern) => {
    const hits = written.flatMap((path) =>
      lines(textOf(path)).flatMap((line, i) =>
        pattern.test(line) ? [`${path}:${i + 1} ${line.trim().slice(0, 80)}`] : [],
      ),
    );
    expect(hits).toEqual([]);
  });
});

test('no array is spread into the arguments of a call that takes any number: about 120,000 overflow the stack', () => {
  const ANY_NUMBER = new Set(['max', 'min', 'hypot', 'push', 'unshift', 'fromCharCode', 'fromCodePoint']);
  const hits: string[] = [];
  for (const path of [...filesBelow('src'), ...filesBelow('bench')].filter(isScript)) {
    const visit = (node: ts.Node): void => {
      ts.forEachChild(node, visit);
      if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return;
      if (!ANY_NUMBER.has(node.expression.name.text) || !node.arguments.some(ts.isSpreadElement)) return;
      hits.push(`${path}: ${node.getText().slice(0, 80)}`);
    };
    visit(parse(path));
  }
  expect(hits).toEqual([]);
});

test('a limit says what it is about: where its number comes from, or that it is a guess', () => {
  const silent = filesBelow('src')
    .filter(isScript)
    .flatMap((path) => {
      const text = lines(textOf(path));
      return text.flatMap((line, at) => {
        if (!/^(?:export )?const (?:MOST|LEAST|MAX|MIN)_\w+ = .*\d/.test(line)) return [];
        // One comment serves the constants that follow each other without a gap.
        let above = at - 1;
        while (/^(?:export )?const [A-Z_\d]+ = .*;$/.test(text[above] ?? '')) above -= 1;
        return (text[above] ?? '').endsWith('*/') ? [] : [`${path}:${at + 1} ${line}`];
      });
    });
  expect(silent).toEqual([]);
});
