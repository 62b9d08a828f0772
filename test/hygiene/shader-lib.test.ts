/** A function that several shaders need has one text, in `shaders/lib`. */
import { expect, test } from 'vitest';
import { declarationsOf, faultsOf, libraryOf, withLibrary } from './shader-lib.ts';
import { filesBelow, textOf } from './source-files.ts';

const paths = filesBelow('shaders');
const inLibrary = (path: string): boolean => path.startsWith('shaders/lib/');
const library = libraryOf(paths.filter(inLibrary).map(textOf));
const shaders = new Map(paths.filter((path) => !inLibrary(path)).map((path) => [path, textOf(path)]));

test('every copy is that of the library, and every function that stands in several shaders is in it', () => {
  expect(library.size).toBeGreaterThan(0);
  expect(faultsOf(shaders, library)).toEqual([]);
});

test('what the library holds says what it does', () => {
  expect([...library].filter(([, text]) => !text.startsWith('// ')).map(([name]) => name)).toEqual([]);
});

const TWICE = '// Twice v.\nfn twice(v : f32) -> f32 {\n  return 2.0 * v;\n}';
const ONE_LINE = 'fn half(v : f32) -> f32 { return 0.5 * v; }   // exact';
const shader = (...texts: string[]): string =>
  [
    '// A story.',
    '',
    'struct Params { n : u32 }',
    '',
    ...texts,
    '',
    '@compute @workgroup_size(1)',
    'fn main() {}',
    '',
  ].join('\n');

test('a declaration is its text with the comment directly above it', () => {
  expect(declarationsOf(shader(TWICE, '', ONE_LINE))).toEqual([
    { name: 'twice', text: TWICE, first: 4, end: 8 },
    { name: 'half', text: ONE_LINE, first: 9, end: 10 },
  ]);
});

test('a copy that differs in a character, or in its comment, is found, and mended by the text of the library', () => {
  const lib = libraryOf([TWICE]);
  const good = shader(TWICE);
  const faulty = [
    good.replace('2.0', '2.1'),
    good.replace('Twice v', 'Two v'),
    good.replace('// Twice v.\n', ''),
  ];
  for (const text of faulty) {
    const both = new Map([
      ['a.wgsl', good],
      ['b.wgsl', text],
    ]);
    expect(faultsOf(both, lib)).toEqual([expect.stringMatching(/^b\.wgsl: twice differs from shaders\/lib/)]);
    expect(withLibrary(text, lib)).toBe(good);
  }
});

test('a function of two shaders that the library lacks is found, and one of the library that one shader has', () => {
  const both = new Map([
    ['a.wgsl', shader(TWICE)],
    ['b.wgsl', shader(TWICE.replace('2.0', '3.0'))],
  ]);
  expect(faultsOf(both, new Map())).toEqual([
    expect.stringMatching(/^twice stands in a\.wgsl, b\.wgsl, but/),
  ]);
  expect(faultsOf(new Map([['a.wgsl', shader(ONE_LINE)]]), libraryOf([ONE_LINE]))).toEqual([
    expect.stringMatching(/^half of shaders\/lib stands in 1 shader/),
  ]);
  expect(() => libraryOf([TWICE, TWICE])).toThrow('twice twice');
});
