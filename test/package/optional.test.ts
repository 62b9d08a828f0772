/** Without the optional packages: what needs none works, the rest says what is missing and how to get it. */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { BIN, runIn } from './run.ts';

const bare = inject('bare');
const moebius = (args: readonly string[], variables = {}) =>
  runIn(bare, process.execPath, [BIN, ...args], variables);

/** As package.json pins them. */
async function pinned(name: string): Promise<string> {
  const file = await readFile(join(bare, 'node_modules/moebius/package.json'), 'utf8');
  const { optionalDependencies } = JSON.parse(file) as { optionalDependencies: Record<string, string> };
  return `npm install ${name}@${optionalDependencies[name]}`;
}

test('neither is installed', async () => {
  await expect(readFile(join(bare, 'node_modules/webgpu/package.json'))).rejects.toThrow('ENOENT');
  await expect(readFile(join(bare, 'node_modules/@sparticuz/chromium/package.json'))).rejects.toThrow(
    'ENOENT',
  );
});

test.each([['--help'], ['layout'], ['op', '--list'], ['bench', '--help']])(
  'moebius %s works',
  async (...args) => {
    expect(await moebius(args)).toMatchObject({ code: 0, stderr: '' });
  },
);

test.each([
  ['doctor'],
  ['generate', '--prompt', 'ROMEO:'],
  ['validate', '--quick'],
  ['tune', '--budget', '1s'],
  ['bench', '--quick', '--out', 'out.json'],
  ['growth'],
])('moebius %s says that it needs webgpu', async (...args) => {
  const { code, stdout, stderr } = await moebius(args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  const [last = ''] = stderr.trimEnd().split('\n').slice(-1);
  expect(last).toMatch(/^moebius: the package webgpu, an optional dependency, is not installed/);
  expect(last).toContain(await pinned('webgpu'));
  expect(last.length).toBeLessThan(320);
});

test('so does the API, as a ConfigError', async () => {
  const program = `import { ConfigError, layout, nodePlatform, openGpu } from 'moebius';
    await layout();
    await openGpu(nodePlatform()).catch((error) => console.log(error instanceof ConfigError, error.message));`;
  await writeFile(join(bare, 'api.js'), program);
  const { code, stdout } = await runIn(bare, process.execPath, ['api.js']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^true the package webgpu/);
});

describe.runIf(process.platform === 'linux')(
  'with the bindings, but without a driver and SwiftShader',
  () => {
    const NO_DRIVER = { VK_DRIVER_FILES: '/nonexistent.json', VK_ICD_FILENAMES: '/nonexistent.json' };

    beforeAll(async () => {
      for (const name of ['webgpu', 'debug', 'ms']) {
        await cp(join(inject('consumer'), 'node_modules', name), join(bare, 'node_modules', name), {
          recursive: true,
        });
      }
    });

    test.each([[[]], [['--adapter', 'swiftshader']]])('doctor %s says how to get it', async (args) => {
      const { code, stderr } = await moebius(['doctor', ...args], NO_DRIVER);
      expect(code).toBe(2);
      expect(stderr).toContain('the optional package @sparticuz/chromium is not installed');
      expect(stderr).toContain(await pinned('@sparticuz/chromium'));
    });
  },
);
