/** `--with`: modules that hold variants, and what is said of those that do not. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadVariants } from '../../../src/cli/own/modules.ts';
import { validate } from '../../../src/cli/verbs/validate.ts';
import { scratchFolder } from '../spawn.ts';

const WGSL = `
@group(0) @binding(0) var<storage, read_write> y_THD : array<f32>;
@compute @workgroup_size(1) fn main() { y_THD[0] = 1.0; }
`;
const fields = `family: 'rope', name: 'mine', idea: 'a one', shader: './mine.wgsl', grid: () => [1, 1, 1]`;

async function moduleOf(text: string, name = 'mine.js'): Promise<string> {
  const folder = await scratchFolder();
  await writeFile(join(folder, name), text);
  await writeFile(join(folder, 'mine.wgsl'), WGSL);
  return join(folder, name);
}

test.each([
  ['variants', `export const variants = { ${fields} };`],
  ['a list of variants', `export const variants = [{ ${fields} }];`],
  ['a default', `export default { ${fields} };`],
  ['a list as default', `export default [{ ${fields} }];`],
  ['both of one', `const one = { ${fields} }; export { one as variants, one as default };`],
])('takes %s, with the WGSL beside the module', async (_what, text) => {
  const path = await moduleOf(text);
  const [variant, ...others] = await loadVariants({ with: [path] });
  expect(others).toEqual([]);
  expect(variant).toMatchObject({ family: 'rope', name: 'mine', text: WGSL });
  expect(String(variant?.shader)).toBe(join(path, '../mine.wgsl'));
});

test('a file below the working folder is called by its place in it', async () => {
  const [variant] = await loadVariants({ with: ['bench/examples/gemm.ts'] });
  expect(variant?.shader).toBe('bench/examples/gemm.wgsl');
});

test.each<[string, string, RegExp]>([
  ['that throws', `throw new Error('not today');`, /cannot load .*mine\.js: not today/],
  ['that is no JavaScript', `export const = 3;`, /cannot load .*mine\.js: /],
  ['that imports what is not there', `import 'nosuchpackage';`, /cannot load .*mine\.js: .*nosuchpackage/],
  [
    'that exports nothing of the kind',
    `export const mine = 1;`,
    /mine\.js exports no variants \(it exports "mine"\)\. Export one or a list of them as "variants" or as its default\.$/,
  ],
  ['that exports nothing', '', /exports no variants \(it exports nothing\)/],
  ['with an empty list', 'export default [];', /exports no variants/],
  [
    'of an unknown family',
    `export default { ${fields.replace("'rope'", "'ropes'")} };`,
    /mine\.js: a variant's family is "ropes" \(did you mean "rope"\?\); it must be one of /,
  ],
  [
    'with a name that is taken',
    `export default { ${fields.replace("'mine'", "'rows'")} };`,
    /mine\.js: rope variant "rows": the family has one of this name already/,
  ],
  [
    'with one name twice',
    `export default [{ ${fields} }, { ${fields} }];`,
    /mine\.js: rope variant "mine" is in .*mine\.js already\. Give one of them another name/,
  ],
  [
    'without its WGSL',
    `export default { ${fields.replace('./mine.wgsl', './yours.wgsl')} };`,
    /mine\.js: rope variant "mine": cannot read .*yours\.wgsl: there is no such file/,
  ],
])('refuses a module %s, before an adapter is opened', async (_what, text, message) => {
  const path = await moduleOf(text);
  await expect(validate({ with: [path], adapter: 'nosuch' })).rejects.toMatchObject({
    name: 'ConfigError',
    message: expect.stringMatching(message) as string,
  });
});

test.each(['/dev/zero', '/dev/full'])('refuses %s, which has no end', async (path) => {
  await expect(loadVariants({ with: [path] })).rejects.toThrow(
    `cannot load ${path}: it is not a plain file. Name a .ts or .js module.`,
  );
});

test('refuses a module that is not there, and a folder', async () => {
  const folder = await scratchFolder();
  await expect(loadVariants({ with: [join(folder, 'none.ts')] })).rejects.toThrow(
    /cannot load .*none\.ts: there is no such file\. Looked at /,
  );
  await mkdir(join(folder, 'a'));
  await expect(loadVariants({ with: [join(folder, 'a')] })).rejects.toMatchObject({ name: 'ConfigError' });
});

test('validate holds the given variants against the cases of their family, and nothing else', async () => {
  const path = await moduleOf(`export default { ${fields} };`);
  const result = await validate({ with: [path, 'bench/examples/gemm.ts'], quick: true });
  expect(result).toMatchObject({ pass: false, model: null });
  expect(result.families.map(({ family }) => family).sort()).toEqual(['matmul', 'rope']);
  const [gemm, rope] = result.registered ?? [];
  expect(gemm).toMatchObject({ variant: 'textbook', pass: true });
  expect(rope).toMatchObject({ variant: 'mine', pass: false, refused: 0 });
  const failures = result.families.find(({ family }) => family === 'rope')?.failures ?? [];
  expect(failures.map(({ name, variant }) => `${name} ${variant}`)).toContain('halves mine');
  expect(failures.map(({ message }) => message).join()).toMatch(/y: \d+ of \d+ over budget; worst \[/);
  await expect(validate({ with: [path], family: 'moe' })).rejects.toThrow(
    /none of the variants that were given runs cases of moe; they are of rope\. Leave --family out/,
  );
});

test('random cases run the given variants only, and name the module in what repeats them', async () => {
  const path = await moduleOf(`export default { ${fields} };`);
  const { pass, fuzz = [] } = await validate({ with: [path], fuzz: 2 });
  expect(pass).toBe(false);
  expect(fuzz.map(({ family, byVariant }) => [family, Object.keys(byVariant)])).toEqual([['rope', ['mine']]]);
  expect(fuzz[0]?.failures[0]?.command).toMatch(new RegExp(` --family rope --adapter \\w+ --with ${path}$`));
});
