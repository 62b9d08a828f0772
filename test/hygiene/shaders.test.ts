/** Every shader is real WGSL by itself, and one file owns it. */
import { beforeAll, describe, expect, test } from 'vitest';
import { MATRIX_FEATURE } from '../../src/gpu/shader/matrices.ts';
import { reflectShader } from '../../src/gpu/shader/reflect.ts';
import { openTestAdapter, testPlatform } from '../setup/gpu.ts';
import { filesBelow, isScript, stringsOf } from './source-files.ts';

/** The feature that each `enable` of WGSL needs. */
const FEATURES: Readonly<Record<string, GPUFeatureName>> = {
  f16: 'shader-f16',
  subgroups: 'subgroups',
  subgroup_size_control: 'subgroup-size-control',
  chromium_experimental_subgroup_matrix: MATRIX_FEATURE,
};

const OWNERS = ['src/kernels', 'src/collectives', 'src/validate'];

const platform = testPlatform();
const paths = platform.shaderPaths();

function featuresOf(source: string): string[] {
  const enables = [...source.matchAll(/^\s*enable\s+([^;]+);/gm)].flatMap(([, names = '']) =>
    names.split(','),
  );
  return enables.map((name) => FEATURES[name.trim()] ?? `unknown: enable ${name.trim()}`);
}

let device: GPUDevice;
beforeAll(async () => {
  const opened = await openTestAdapter();
  const adapter = await opened.adapter();
  const requiredFeatures = Object.values(FEATURES).filter((feature) => adapter.features.has(feature));
  device = await adapter.requestDevice({ requiredFeatures });
  return () => device.destroy();
});

async function errorsOf(code: string): Promise<string[]> {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code });
  const { messages } = await module.getCompilationInfo();
  await device.popErrorScope();
  return messages
    .filter(({ type }) => type === 'error')
    .map(({ lineNum, linePos, message }) => `${lineNum}:${linePos} ${message}`);
}

test('the compiler finds the error in a wrong shader', async () => {
  expect(await errorsOf('fn main() { return 1; }')).not.toEqual([]);
});

describe.each(paths)('%s', (path) => {
  const source = platform.shaderSource(path);

  test('compiles alone', async (context) => {
    const needed = featuresOf(source);
    expect(needed.filter((feature) => feature.startsWith('unknown'))).toEqual([]);
    const missing = needed.filter((feature) => !device.features.has(feature));
    if (missing.length > 0) context.skip(`this adapter has no ${missing.join(', ')}`);
    expect(await errorsOf(source)).toEqual([]);
  });

  test('tells its interface to wgsl_reflect', () => {
    expect(reflectShader(source, path).storage.length).toBeGreaterThan(0);
  });

  test('belongs to one file', () => {
    const scripts = OWNERS.flatMap((folder) => filesBelow(folder)).filter(isScript);
    expect(scripts.filter((file) => stringsOf(file).includes(path))).toHaveLength(1);
  });
});
