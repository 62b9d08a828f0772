import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { compare } from '../../src/cli/verbs/compare.ts';
import { ConfigError } from '../../src/core/errors.ts';
import { moebius, scratchFolder } from '../cli/spawn.ts';

const RESULT = 'test/compare/result.json';

/** Result files whose samples are all `factor` times as long, with another spread each. */
async function results(side: string, count: number, factor = 1): Promise<string[]> {
  const folder = await scratchFolder();
  const text = await readFile(RESULT, 'utf8');
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const result = JSON.parse(text) as { kernels: { timing: { samplesNs: number[] } }[] };
      for (const { timing } of result.kernels) {
        timing.samplesNs = timing.samplesNs.map((ns) => ns * factor * (1 + 0.002 * i));
      }
      const path = join(folder, `${side}${i}.json`);
      await writeFile(path, JSON.stringify(result));
      return path;
    }),
  );
}

/** What these tests change of a result. */
interface Changeable {
  version: number;
  model: string;
  adapter: { facts: { name: string } };
  clock: { clock: string };
  kernels: { name: string; flops: number; timing: { samplesNs: number[] } }[];
  forward: object | null;
}

async function changed(change: (result: Changeable) => unknown): Promise<string> {
  const result = JSON.parse(await readFile(RESULT, 'utf8')) as Changeable;
  change(result);
  const path = join(await scratchFolder(), 'changed.json');
  await writeFile(path, JSON.stringify(result));
  return path;
}

describe('moebius compare', () => {
  test('five runs a side of which B takes 20 % longer, told and as JSON, and failing on it', async () => {
    const files = [...(await results('a', 5)), '--', ...(await results('b', 5, 1.2))];
    const told = await moebius('compare', '--fail-on', 'slower', ...files);
    expect(told.code).toBe(1);
    expect(told.stdout).toContain('3 slower');
    expect(told.stdout).toMatch(/Dealt to sides by chance/);
    expect(told.stderr).toMatch(/ and 2 more slower in B: 1\.2/);
    for (const line of told.stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    const { stdout, code } = await moebius('compare', '--json', '--fail-on', 'faster', ...files);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ unit: 'run', runsA: 5, runsB: 5 });
  });

  test('a file beside itself: nothing differs', async () => {
    const { code, stdout } = await moebius('compare', RESULT, RESULT, '--fail-on', 'different');
    expect(code).toBe(0);
    expect(stdout).toContain('Weak');
    expect(stdout).not.toMatch(/\d slower|\d faster/);
  });

  test('--across sets other adapters and clocks side by side, and says so', async () => {
    const other = await changed((r) => {
      r.adapter.facts.name = 'H100';
      r.clock.clock = 'host';
    });
    const { code, stdout } = await moebius('compare', RESULT, other, '--across');
    expect(code).toBe(0);
    expect(stdout.replace(/\s+/g, ' ')).toMatch(
      /different adapters or clocks: llvmpipe .* by the gpu's clock; H100 by the host's clock\./,
    );
  });

  test.each<[string, (result: Changeable) => unknown, RegExp]>([
    ['another adapter', (r) => (r.adapter.facts.name = 'H100'), /different adapters: llvmpipe.*H100/],
    ['another shape', (r) => r.kernels.forEach((kernel) => (kernel.flops += 1)), /another piece of work/],
    ['another model', (r) => (r.model = 'other'), /different scopes/],
    ['a newer schema', (r) => (r.version = 99), /version 99 .*newer than this moebius/],
    ['a negative time', (r) => r.kernels[0]?.timing.samplesNs.push(-1), /samplesNs/],
    ['no samples', (r) => r.kernels[0]?.timing.samplesNs.splice(0), /samplesNs/],
    ['no row in common', (r) => [r.kernels.splice(0), (r.forward = null)], /no row in common/],
  ])('refuses %s', async (_what, change, message) => {
    const refused = compare({ a: [RESULT], b: [await changed(change)] });
    await expect(refused).rejects.toThrow(ConfigError);
    await expect(refused).rejects.toThrow(message);
  });

  test('refuses a truncated file, one that is not there, and a side without files', async () => {
    const path = join(await scratchFolder(), 'half.json');
    await writeFile(path, (await readFile(RESULT, 'utf8')).slice(0, 1000));
    await expect(compare({ a: [RESULT], b: [path] })).rejects.toThrow(/half\.json/);
    await expect(compare({ a: [RESULT], b: ['absent.json'] })).rejects.toThrow(/absent\.json/);
    await expect(compare({ a: [RESULT], b: [] })).rejects.toThrow(/files on both sides/);
  });

  test.each([
    [[RESULT, RESULT, RESULT], /no "--" between/],
    [[RESULT, '--'], /no "--" between/],
    [['--run', '.', '/usr'], /no checkout of moebius/],
    [[RESULT, RESULT, '--runs', '3'], /--runs would do nothing/],
  ])('refuses the arguments %j', async (args, message) => {
    const { code, stderr } = await moebius('compare', ...args);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });

  test('names from files cannot reach the terminal', async () => {
    // The second of the two escapes colours words as we do.
    const evil = await changed((r) => {
      r.kernels.forEach((kernel) => (kernel.name = '\u001b[2Jevil\u001b[31m'));
      r.adapter.facts.name = '\u001b[31mred';
    });
    const { stdout } = await moebius('compare', RESULT, evil, '--verbose', '--across');
    expect(stdout).toContain('\\x1b[31mred');
    expect(stdout).not.toContain('\u001b');
    const { stdout: rows } = await moebius('compare', evil, evil, '--verbose');
    expect(rows).toContain('\\x1b[2Jevil\\x1b[31m');
    expect(rows).not.toContain('\u001b');
  });
});
