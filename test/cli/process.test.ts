/** The process: exit codes, one message on stderr, one JSON object on stdout. Few, since each start costs a second. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors.ts';
import { f32Tensor } from '../../src/tensor/tensor.ts';
import { moebius, moebiusIntoClosedPipe, scratchFolder } from './spawn.ts';

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
