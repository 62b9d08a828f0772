/** What `generate` is given, it uses: how keys are stored, what was tuned, temperature and seed. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { generate, type GenerateOptions, type GenerateResult } from '../../src/cli/verbs/generate.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { profile } from '../../src/cli/verbs/profile.ts';
import { failureOf } from '../../src/cli/run.ts';
import { withGpu } from '../../src/cli/session.ts';
import { cacheOf } from '../../src/tune/tune.ts';
import { formatCache } from '../../src/tune/cache.ts';
import { scratchFolder } from './spawn.ts';

const PROMPT = { prompt: 'ROMEO: what light', tokens: 2, layout: 'ep=1' };
const run = (options: Partial<GenerateOptions> = {}): Promise<GenerateResult> =>
  generate({ ...PROMPT, tuning: false, ...options });

afterEach(() => void vi.unstubAllEnvs());

/** What a command line is refused with, in this process. */
async function refusal(args: readonly string[]): Promise<{ code: number; message: string }> {
  try {
    await buildProgram().parseAsync([...args], { from: 'user' });
  } catch (error) {
    return failureOf(error) ?? { code: 0, message: '' };
  }
  return { code: 0, message: 'was taken' };
}

/** An empty file of what was tuned here. */
async function tuningFile(): Promise<string> {
  const path = join(await scratchFolder(), 'tuning.json');
  await withGpu({}, async (gpu) => {
    await writeFile(path, formatCache(cacheOf(gpu, { clock: 'host', grainNs: 1, note: '' }, '0', [])));
  });
  return path;
}

describe('tuning', () => {
  test('the file of MOEBIUS_TUNING is used, whatever keys are stored in', async () => {
    const path = await tuningFile();
    vi.stubEnv('MOEBIUS_TUNING', path);
    for (const cache of ['f32', 'f16'] as const) {
      expect((await generate({ ...PROMPT, cache })).tuning).toMatchObject({ state: 'used', path });
    }
    expect((await generate({ ...PROMPT, tuning: false })).tuning.state).toBe('off');
    vi.stubEnv('MOEBIUS_TUNING', 'off');
    expect((await generate(PROMPT)).tuning.state).toBe('off');
    expect((await generate({ ...PROMPT, tuningFile: path })).tuning).toMatchObject({ state: 'used', path });
  });

  test('a file that is not there is told', async () => {
    const path = join(await scratchFolder(), 'none.json');
    await expect(generate({ ...PROMPT, tuningFile: path })).rejects.toThrow(/there is no tuning file/);
    vi.stubEnv('MOEBIUS_TUNING', path);
    expect((await generate(PROMPT)).tuning).toMatchObject({
      state: 'none',
      note: expect.stringMatching(/MOEBIUS_TUNING names .*which is not there/) as string,
    });
  });
});

test('keys in f16 change the logits by what f16 drops, and not more', async () => {
  const [wide, narrow] = [await run(), await run({ cache: 'f16' })];
  expect(narrow.cache).toBe('f16');
  const errors = narrow.lastLogits.map((logit, i) => Math.abs(logit - (wide.lastLogits[i] ?? NaN)));
  const worst = Math.max(...errors);
  expect(worst).toBeGreaterThan(0);
  expect(worst).toBeLessThan(0.1);
  await expect(run({ cache: 'f8' as 'f16' })).rejects.toThrow(/cache \(f8\) must be one of f32, f16/);
});

test('a high temperature leaves the likeliest text, by the seed; none never does', async () => {
  const tokens = 8;
  const likely = await run({ tokens });
  const texts: string[] = [];
  for (const seed of [1, 2]) texts.push((await run({ tokens, seed, temperature: 5 })).text);
  expect(new Set([likely.text, ...texts]).size).toBe(3);
  expect((await run({ tokens, seed: 1, temperature: 1e-6 })).text).toBe(likely.text);
});

test('a capacity drops rows and is told; a placement from a file changes no token', async () => {
  const plain = await run({ layout: 'ep=4', tokens: 4 });
  expect(plain.routing).toBeUndefined();
  const file = join(await scratchFolder(), 'placement.json');
  const ofRank = [0, 1, 2, 3].map((rank) => [0, 1, 2, 3, 4].map((i) => (4 * i + 3 * rank) % 16));
  await writeFile(file, JSON.stringify({ placement: ofRank }));
  const options = { layout: 'ep=4', tokens: 4, placement: file };
  const placed = await run(options);
  expect(placed.ids).toEqual(plain.ids);
  expect(placed.routing?.rows).toMatchObject({ dropped: 0, moved: 0 });
  const { routing } = await run({ ...options, capacity: '0.5', policy: 'spill', biasRate: 0.01 });
  expect(routing?.rows.dropped).toBeGreaterThan(0);
  const { offered = 0, kept = 0, dropped = 0 } = routing?.rows ?? {};
  expect([offered, kept + dropped]).toEqual([placed.routing?.rows.offered, offered]);
});

test('a profiled step drops rows too', async () => {
  const options = { layout: 'ep=4', batch: 2, tokens: 4, rounds: 1, roof: false, tuning: false };
  const { rowsRouted, ...found } = await profile({ ...options, capacity: '0.5', policy: 'spill' });
  expect(found).toMatchObject({ what: 'step', routing: { capacity: '0.5', policy: 'spill' } });
  expect(rowsRouted?.rows.dropped).toBeGreaterThan(0);
});

test.each<[Partial<GenerateOptions>, RegExp]>([
  [{ seed: 2 ** 32 }, /seed \(4294967296\) must be a whole number, from 0 to 4294967295/],
  [{ seed: 0.5 }, /seed \(0\.5\)/],
  [{ tokens: 1e9 }, /make 1000000017 positions/],
  [{ tokens: NaN }, /tokens \(NaN\)/],
  [{ temperature: -1 }, /temperature \(-1\)/],
  [{ prompt: 'x'.repeat(1e7) }, /10000000 prompt characters/],
])('refuses what no model can run', async (options, message) => {
  await expect(run(options)).rejects.toThrow(message);
});

describe('on the command line', () => {
  test.each([
    [['generate', '--promt', 'x'], /unknown option '--promt'.*Did you mean --prompt/],
    [['generate'], /generate needs --prompt <text>/],
    [['generate', '--prompt', 'x', '--seed', '1'], /--seed would do nothing: with --temperature 0/],
    [['generate', '--prompt', 'x', '--seed', '4294967296', '--temperature', '1'], /from 0 to 4294967295/],
    [['validate', '--seed', '1'], /--seed would do nothing/],
    [['validate', '--fuzz', '1', '--quick'], /--quick would do nothing/],
    [['validate', '--family', 'moe', '--layout', 'ep=1'], /--layout would do nothing/],
    [['validate', '--fuzz', '1000000000'], /from 1 to 1000000/],
    [['layout', '--readings', '--rank', '1'], /--rank would do nothing/],
    [['tune', '--recheck', '--shapes', 'x'], /--shapes would do nothing/],
    [['tune', '--recheck', '--dry-run'], /--dry-run would do nothing/],
    [['tune', '--dry-run', '--budget', '5s'], /--budget would do nothing/],
    [['tune', '--cache', 'a', '--tuning-file', 'b'], /cannot be used with option/],
    [['bench', '--no-tuning', '--tuning-file', 'b'], /cannot be used with option/],
    [['op', '--list', '--attr', 'k=1'], /--attr would do nothing: --list runs nothing/],
    [['op', 'moe', '--list'], /--list shows all ops/],
    [['generate', '--prompt', 'x', '--policy', 'spill'], /the policy spill needs a capacity/],
    [['generate', '--prompt', 'x', '--capacity', '1', '--policy', 'carry'], /an engine cannot wait/],
    [['generate', '--prompt', 'x', '--capacity', '1', '--policy', 'drop'], /no overflow policy "drop"/],
    [['generate', '--prompt', 'x', '--capacity', '1', '--policy', 'dropless'], /dropless has none/],
    [['generate', '--prompt', 'x', '--capacity', '0'], /megatron forbids zero and less/],
    [['generate', '--prompt', 'x', '--capacity', 'switch:-1'], /switch forbids/],
    [['generate', '--prompt', 'x', '--bias-rate', '0'], /a number of more than 0/],
    [
      ['generate', '--prompt', 'x', '--expert-slots', '32'],
      /--expert-slots would do nothing without --placement/,
    ],
    [['generate', '--prompt', 'x', '--placement', 'eplb', '--expert-slots', '8'], /as many slots as experts/],
    [['generate', '--prompt', 'x', '--placement', 'nowhere.json'], /cannot read nowhere.json/],
    [['generate', '--prompt', 'x', '--placement', 'package.json'], /package.json is no placement/],
    [['profile', '--op', 'matmul', '--capacity', '1'], /--capacity would do nothing: with --op/],
    [['profile', '--capacity', '1', '--policy', 'carry'], /an engine cannot wait/],
    [['bench', '--family', 'moe', '--bias-rate', '0.1'], /a bias would do nothing: with --family/],
    [['bench', '--policy', 'spill'], /needs a capacity/],
    [['routing', '--bias-rate', '0.1'], /--bias-rate would do nothing/],
    [['routing', '--placement', 'nowhere.json'], /cannot read nowhere.json/],
    [['routing', '--cost', '--policy', 'carry'], /an engine cannot wait/],
    [['routing', '--cost', '--policy', 'spill,dropless'], /--cost runs one policy, and 2 are named/],
    [['routing', '--cost', '--layout', 'ep=4,tp=2'], /shared by ep ranks only/],
    [['routing', '--cost', '--balancer', 'placer'], /--balancer would do nothing: --cost/],
    [['routing', '--cost', '--weights', 'f8'], /weights \(f8\) must be one of/],
    [['routing', '--cost', '--quality'], /--quality and --cost are measured one at a time/],
    [['routing', '--weights', 'f16'], /--weights would do nothing: only --cost/],
    [['routing', '--balancers', '--policy', 'spill'], /--policy would do nothing: --balancers/],
    [['generate', '--prompt', 'x', '--tuning-file', 'nowhere.json'], /there is no tuning file nowhere\.json/],
  ])('%j', async (args, message) => {
    const said = await refusal(args);
    expect(said).toMatchObject({ code: 2 });
    expect(said.message).toMatch(message);
    expect(said.message.length).toBeLessThan(300);
  });

  test('an adapter of MOEBIUS_ADAPTER that is not there', async () => {
    vi.stubEnv('MOEBIUS_ADAPTER', 'nosuch');
    expect((await refusal(['generate', '--prompt', 'x'])).message).toMatch(
      /no adapter opens for "nosuch".*MOEBIUS_ADAPTER names it/,
    );
  });
});
