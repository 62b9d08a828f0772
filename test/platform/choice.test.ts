import { describe, expect, test } from 'vitest';
import { candidates, isSoftwareName, listedNames, matches, saysNothing } from '../../src/platform/choice.ts';

const LLVMPIPE = 'llvmpipe (LLVM 15.0.6, 256 bits)';
const H100 = 'NVIDIA H100 80GB HBM3';

describe('which adapter a choice means', () => {
  test('auto: the example in its comment, a GPU before a driver on the CPU', () => {
    expect(candidates('auto', ['llvmpipe (LLVM 15)', 'NVIDIA H100'])).toEqual([
      'NVIDIA H100',
      'llvmpipe (LLVM 15)',
    ]);
  });

  test("auto keeps Dawn's order among GPUs", () => {
    expect(candidates('auto', ['AMD Radeon', LLVMPIPE, H100])).toEqual(['AMD Radeon', H100, LLVMPIPE]);
  });

  test('a choice is a part of the name, in any case', () => {
    expect(candidates('LLVMpipe', [H100, LLVMPIPE])).toEqual([LLVMPIPE]);
    expect(candidates('h100', [H100, LLVMPIPE])).toEqual([H100]);
    expect(candidates('voodoo', [H100, LLVMPIPE])).toEqual([]);
    expect(matches('(llvm', LLVMPIPE)).toBe(true);
  });

  test.each([LLVMPIPE, 'SwiftShader Device (Subzero)', 'lavapipe', 'Microsoft Basic Render Driver'])(
    '%s runs on the CPU',
    (name) => expect(isSoftwareName(name)).toBe(true),
  );

  test.each([H100, 'Apple M3 Max', 'Intel(R) Arc(tm) A770 Graphics'])('%s is a GPU', (name) => {
    expect(isSoftwareName(name)).toBe(false);
  });
});

test('an adapter says something of itself when any field does', () => {
  expect(saysNothing('', undefined, ' ')).toBe(true);
  expect(saysNothing('', 'apple', '')).toBe(false);
});

describe("the list in Dawn's rejection", () => {
  test('gives each name once, without the backend that computes nothing', () => {
    const rejection = [
      'no suitable backends found',
      'Available adapters:',
      ` * backend: 'vulkan', name: '${LLVMPIPE}'`,
      ` * backend: 'vulkan', name: '${H100}'`,
      ` * backend: 'opengles', name: '${H100}'`,
      " * backend: 'null', name: 'Null backend'",
    ].join('\n');
    expect(listedNames(rejection)).toEqual([LLVMPIPE, H100]);
  });

  test('is empty for any other message', () => {
    expect(listedNames('the driver crashed')).toEqual([]);
  });
});
