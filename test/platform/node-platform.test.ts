/** Files and clock of the platform in Node. */
import { tmpdir } from 'node:os';
import { describe, expect, test } from 'vitest';
import { nodePlatform } from '../../src/platform/node/node.ts';

const platform = nodePlatform();

describe('files', () => {
  test('a relative path counts from the package when the working folder has no such file', async () => {
    const here = process.cwd();
    process.chdir(tmpdir());
    try {
      const bytes = await platform.readFile('bench/models/tiny-moe/config.json');
      expect(JSON.parse(new TextDecoder().decode(bytes))).toHaveProperty('model_type', 'mixtral');
    } finally {
      process.chdir(here);
    }
  });

  test('a missing file is refused by its path', async () => {
    await expect(platform.readFile('no/such/file')).rejects.toThrow(
      /cannot read no\/such\/file: there is no such file/,
    );
  });

  test('a folder is refused by its path', async () => {
    await expect(platform.readFile('src')).rejects.toThrow(/cannot read src: it is a folder/);
  });
});

describe('shaders', () => {
  test('every listed path has a text', () => {
    for (const path of platform.shaderPaths()) expect(platform.shaderSource(path)).not.toBe('');
  });

  test.each(['no/such.wgsl', '../package.json'])('%s is refused', (path) => {
    expect(() => platform.shaderSource(path)).toThrow(`there is no shader "${path}"`);
  });
});

test('the clock runs forward in nanoseconds', async () => {
  const start = platform.now();
  await new Promise((done) => setTimeout(done, 20));
  const elapsed = platform.now() - start;
  expect(elapsed).toBeGreaterThan(15e6);
  expect(elapsed).toBeLessThan(5e9);
});
