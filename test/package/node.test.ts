/** A user of plain Node: the command line, and a program of his own. */
import { writeFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import ts from 'typescript';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors/safetensors.ts';
import { f32Tensor, toF64 } from '../../src/tensor/tensor.ts';
import { textOf } from '../hygiene/source-files.ts';
import { NODES, nodeProgram } from './nodes.ts';
import { BIN, runIn } from './run.ts';

const consumer = inject('consumer');
const SWIFTSHADER = { MOEBIUS_ADAPTER: 'swiftshader' };

/** The examples are TypeScript, which plain Node 20 does not read. */
const EXAMPLES = ['one-op', 'engine-on-layout', 'own-kernel'];

beforeAll(async () => {
  for (const name of EXAMPLES) {
    const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 };
    const { outputText } = ts.transpileModule(textOf(`bench/examples/${name}.ts`), {
      compilerOptions: options,
    });
    await writeFile(join(consumer, `${name}.js`), outputText);
  }
  const tensors = { a: f32Tensor([1, 4], [1, 2, 3, 4]), b: f32Tensor([2, 4], [1, 1, 1, 1, 0, 0, 0, 2]) };
  await writeFile(join(consumer, 'in.safetensors'), writeSafetensors(tensors));
});

describe.each(NODES)('Node %s', (version) => {
  let node: string;
  beforeAll(() => {
    node = nodeProgram(version);
  });

  test('moebius --help', async () => {
    const { code, stdout, stderr } = await runIn(consumer, node, [BIN, '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Usage: moebius/);
  });

  test('an op on SwiftShader', async () => {
    const args = [
      'op',
      'matmul',
      '--in',
      'in.safetensors',
      '--out',
      `${version}.safetensors`,
      '--check',
      '--json',
    ];
    const { code, stdout } = await runIn(consumer, node, [BIN, ...args], SWIFTSHADER);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      checks: [{ pass: true }],
      adapter: { kind: 'embedded-software' },
    });
    const written = readSafetensors(await readFile(join(consumer, `${version}.safetensors`)), 'out').get('c');
    expect(written && [...toF64(written)]).toEqual([10, 8]);
  });

  test.each(EXAMPLES)('the example %s', async (name) => {
    const { code, stdout, stderr } = await runIn(consumer, node, [`${name}.js`], SWIFTSHADER);
    expect({ code, stderr: stderr.replace(/^Warning: max.*\n/gm, '') }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(name === 'engine-on-layout' ? /16 ranks, \d+ bytes: ".+"/ : /c: ok/);
  });
});
