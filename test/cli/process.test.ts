/** The process: exit codes, one message on stderr, one JSON object on stdout. Few, since each start costs a second. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors/safetensors.ts';
import { f32Tensor } from '../../src/tensor/tensor.ts';
import {
  canBeNobody,
  commandPath,
  moebius,
  moebiusIn,
  moebiusIntoClosedPipe,
  scratchFolder,
} from './spawn.ts';

/** One line, from us, without a stack. */
function expectOneMessage(stderr: string, pattern: RegExp): void {
  expect(stderr).toMatch(pattern);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  expect(stderr).toMatch(/^moebius: /);
}

test('--version and --help exit with 0', async () => {
  const [version, help] = await Promise.all([moebius('--version'), moebius('--help')]);
  expect(version).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string,
  });
  expect(help).toMatchObject({ code: 0, stderr: '' });
  for (const name of ['doctor', 'layout', 'generate', 'validate', 'op', 'bench'])
    expect(help.stdout).toContain(name);
});

describe('wrong use exits with 2 and one message', () => {
  test.each<[string, RegExp, ...string[]]>([
    ['no command', /name a command: doctor, layout/],
    ['an unknown command', /unknown command 'docter' \(Did you mean doctor\?\)/, 'docter'],
    ['an unknown option', /unknown option '--nope'/, 'layout', '--nope'],
    ['a layout that does not fit', /ep \(3\) does not divide numExperts \(16\)/, 'layout', 'ep=3'],
    ['a missing adapter', /no adapter opens for "nosuch"\. There is: /, 'doctor', '--adapter', 'nosuch'],
  ])('%s', async (_what, message, ...args) => {
    const { code, stdout, stderr } = await moebius(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expectOneMessage(stderr, message);
  });

  test('with --json stdout tells the same', async () => {
    const { code, stdout, stderr } = await moebius('layout', 'ep=3', '--json');
    expect(code).toBe(2);
    expectOneMessage(stderr, /ep \(3\)/);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { kind: 'usage', message: expect.stringContaining('ep (3)') as string },
    });
  });
});

test('generate: text to stdout, facts to stderr', async () => {
  const { code, stdout, stderr } = await moebius(
    'generate',
    '--prompt',
    'ROMEO:\n',
    '--tokens',
    '4',
    '--layout',
    'ep=2,tp=2',
  );
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'ROMEO:\nWhat\n' });
  expect(stderr).toMatch(
    /tiny-moe, ep=2,pp=1,tp=2,dp=1: 2 ranks on .*\n(\[tuning: .*\]\n)?\[first token after .*measured, host clock\)\]\n/,
  );
});

test('op: from a file to a file, and one JSON object', async () => {
  const folder = await scratchFolder();
  const input = join(folder, 'in.safetensors');
  const output = join(folder, 'out.safetensors');
  await writeFile(input, writeSafetensors({ logits: f32Tensor([2, 3], [0, 2, 1, 5, 5, 4]) }));
  const { code, stdout, stderr } = await moebius(
    ...['op', 'gate-topk', '--in', input, '--out', output, '--attr', 'k=2', '--check', '--json'],
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({
    op: 'gate-topk',
    attrs: { k: 2 },
    outputs: [{ name: 'ids' }, { name: 'scores' }],
  });
  const results = readSafetensors(new Uint8Array(await readFile(output)), 'out');
  expect([...(results.get('ids')?.data ?? [])]).toEqual([1, 2, 0, 1]);
  expect((await readdir(folder)).sort()).toEqual(['in.safetensors', 'out.safetensors']);
});

test('a reader that leaves early ends the process quietly', async () => {
  const { code, stderr } = await moebiusIntoClosedPipe(
    'layout',
    'ep=128,pp=4',
    '--preset',
    'qwen3-30b-a3b',
    '--json',
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});

describe('stdout that takes nothing', () => {
  test.each<[string, ...string[]]>([
    ['text', 'layout', 'ep=4'],
    ['JSON', 'layout', 'ep=4', '--json'],
    ['the help', '--help'],
    ['the version', '--version'],
    ['what streams', 'generate', '--prompt', 'RO', '--tokens', '2', '--layout', 'ep=1'],
  ])('%s: one line on stderr, and neither 0 nor 1', async (_what, ...args) => {
    const full = await open('/dev/full', 'w');
    const { code, stderr } = await moebiusIn({ stdout: full.fd }, ...args);
    await full.close();
    expect(code).toBe(74);
    expectOneMessage(stderr, /cannot write to stdout: there is no space left/);
  });
});

describe('folders that cannot be written', () => {
  const nowhere = { HOME: '/nonexistent', XDG_CACHE_HOME: '' };
  test.each(['/nonexistent', '/dev/null', '/proc'])('--version with TMPDIR=%s', async (TMPDIR) => {
    expect(await moebiusIn({ env: { ...nowhere, TMPDIR }, fromSource: true }, '--version')).toMatchObject({
      code: 0,
      stderr: '',
    });
  });

  test.runIf(canBeNobody)('commands of a user without any folder of its own', async () => {
    const how = { env: { ...nowhere, TMPDIR: '/usr' }, cwd: '/usr/share', asNobody: true, fromSource: true };
    const [layout, text] = await Promise.all([
      moebiusIn(how, 'layout', 'ep=4', '--json'),
      moebiusIn(how, 'generate', '--prompt', 'RO', '--tokens', '2', '--layout', 'ep=1'),
    ]);
    expect(layout).toMatchObject({ code: 0, stderr: '' });
    expect(text).toMatchObject({ code: 0 });
    expect(text.stdout).toMatch(/^RO/);
  });

  test.runIf(canBeNobody)('bench says so before any work', async () => {
    const how = { env: { ...nowhere, TMPDIR: '/tmp' }, cwd: '/usr/share', asNobody: true };
    const none = await moebiusIn(how, 'bench', '--adapter', 'nosuch');
    expect({ code: none.code, stdout: none.stdout }).toEqual({ code: 2, stdout: '' });
    expectOneMessage(none.stderr, /cannot write \/usr\/share\/results: .*--out/);
    const named = await moebiusIn(how, 'bench', '--out', '/usr/share/x.json', '--adapter', 'nosuch');
    expect(named.code).toBe(2);
    expectOneMessage(named.stderr, /cannot write \/usr\/share\/x\.json: .*--out/);
  });
});

test.each(['op', 'bench'])('%s tries its output before it opens an adapter', async (verb) => {
  const folder = await scratchFolder();
  const args = verb === 'op' ? ['op', 'matmul', '--in', join(folder, 'in')] : ['bench'];
  const { code, stderr } = await moebius(...args, '--out', '/dev/full', '--adapter', 'nosuch');
  expect(code).toBe(2);
  expectOneMessage(stderr, /cannot write \/dev\/full: it is not a plain file/);
});

test('names from files reach the terminal as escapes', async () => {
  const folder = await scratchFolder();
  const input = join(folder, 'in.safetensors');
  const name = '\x1b]0;owned\x07\x1b[2J\u202ex\u0085\ny';
  await writeFile(input, writeSafetensors({ [name]: f32Tensor([1], [0]) }));
  const out = join(folder, 'out.safetensors');
  const { code, stderr } = await moebius('op', 'gate-topk', '--in', input, '--out', out, '--attr', 'k=1');
  expect(code).toBe(2);
  expectOneMessage(stderr, /owned/);
  expect(stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);

  const odd = join(folder, 'a\x1b[2Jb\u202e');
  await mkdir(odd);
  const missing = await moebius('layout', '--preset', `${odd}/config.json`);
  expectOneMessage(missing.stderr, /a\\x1b\[2Jb\\u202e/);
});

test("native warnings are not in a log, and others' later lines are", async () => {
  const folder = await scratchFolder();
  const log = await open(join(folder, 'log'), 'w');
  await log.write('before\n');
  const child = spawn(process.execPath, [commandPath(), 'doctor', '--no-tuning'], {
    stdio: ['ignore', 'ignore', log.fd],
  });
  await once(child, 'close');
  await log.write('after\n');
  await log.close();
  expect(await readFile(join(folder, 'log'), 'utf8')).toBe('before\nafter\n');
});

test('what was tuned can be left alone, by an option and by the environment', async () => {
  const folder = await scratchFolder();
  const input = join(folder, 'in.safetensors');
  await writeFile(input, writeSafetensors({ logits: f32Tensor([1, 2], [0, 1]) }));
  const args = ['op', 'gate-topk', '--in', input, '--attr', 'k=1', '--json'];
  // A cache that cannot be used shows that it was looked for.
  const env = { HOME: folder, MOEBIUS_TUNING: join(folder, 'cache.json') };
  await writeFile(env.MOEBIUS_TUNING, '{"schema": "moebius-tun');
  const stateOf = async (how: Record<string, string>, ...more: string[]): Promise<unknown> => {
    const out = join(folder, `${more.length}-${how.MOEBIUS_TUNING?.length}`);
    const { stdout } = await moebiusIn({ env: how }, ...args, '--out', out, ...more);
    return (JSON.parse(stdout) as { tuning: { state: string } }).tuning.state;
  };
  expect(
    await Promise.all([
      stateOf(env),
      stateOf(env, '--no-tuning'),
      stateOf({ ...env, MOEBIUS_TUNING: 'off' }),
    ]),
  ).toEqual(['ignored', 'off', 'off']);
});
