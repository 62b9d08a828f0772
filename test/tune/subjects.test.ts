/** The file of `tune --shapes`: what is wrong in it is told before anything is measured. */
import { expect, test } from 'vitest';
import fc from 'fast-check';
import { familyNamed } from '../../src/cli/families.ts';
import { ConfigError } from '../../src/core/errors.ts';
import { readSubjects } from '../../src/tune/subjects.ts';

const read = (text: string): unknown => readSubjects(new TextEncoder().encode(text), 'shapes.json');
const one = (shape: object): string => JSON.stringify([shape]);
const DIMS = { M: 4, N: 4, K: 4 };

test('a list of shapes', () => {
  const shape = { op: 'matmul', dims: DIMS, dtypes: { b: 'int4' } };
  expect(read(one(shape))).toEqual([shape]);
});

test.each([
  ['no list', '{}', /shapes\.json is no list of shapes: the file.*Write a list of shapes/],
  ['an empty list', '[]', /Write a list of shapes/],
  ['no dimensions', one({ op: 'matmul' }), /dims/],
  ['a missing dimension', one({ op: 'matmul', dims: { M: 4, N: 4 } }), /shape 0: matmul needs the size of K for a \[M, K\]/],
  ['two missing dimensions', one({ op: 'matmul', dims: { N: 4 } }), /needs the size of M and K for a/],
  ['an unknown dimension', one({ op: 'matmul', dims: { ...DIMS, X: 1 } }), /matmul has no dimension "X".*It has: M, K, N/],
  ['an unknown op', one({ op: 'matmull', dims: DIMS }), /no op "matmull" \(did you mean "matmul"\?\)/],
  ['an unknown attribute', one({ op: 'matmul', dims: DIMS, attrs: { k: 1 } }), /no attribute "k"/],
  ['a missing attribute', one({ op: 'gate-topk', dims: { T: 1, E: 4 } }), /gate-topk needs the attribute k/],
  ['an unknown dtype', one({ op: 'matmul', dims: DIMS, dtypes: { b: 'int9' } }), /b is "int9"; it must be f32 or f16/],
  ['an unknown tensor', one({ op: 'matmul', dims: DIMS, with: ['w9'] }), /no tensor "w9"/],
  ['a size of 0', one({ op: 'matmul', dims: { ...DIMS, M: 0 } }), /dims\.M/],
  ['a fraction', one({ op: 'matmul', dims: { ...DIMS, M: 0.5 } }), /dims\.M/],
  ['more than a device binds', one({ op: 'matmul', dims: { ...DIMS, M: 1e12 } }), /a \[M, K\] would be \[1000000000000, 4\]/],
  ['a result that is too large', one({ op: 'matmul', dims: { M: 1e6, N: 1e6, K: 1 } }), /c \[M, N\] would be/],
  ['an op of 5 MB', one({ op: 'x'.repeat(5e6), dims: DIMS }), /5000000 characters/],
  ['a dimension of 5 MB', one({ op: 'matmul', dims: { ...DIMS, ['x'.repeat(5e6)]: 1 } }), /5000000 characters/],
])('%s is refused in a line or two', (_, text, expected) => {
  expect(() => read(text)).toThrow(ConfigError);
  expect(() => read(text)).toThrow(expected);
  expect(() => read(text)).toThrow(/^.{1,420}$/);
}); // prettier-ignore

test('any JSON is a list of shapes or refused', () => {
  const shape = fc.record({
    op: fc.constantFrom('moe', 'rope', 'x'),
    dims: fc.jsonValue(),
    attrs: fc.jsonValue(),
  });
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), fc.array(fc.oneof(shape, fc.jsonValue()))), (value) => {
      try {
        read(JSON.stringify(value));
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
      }
    }),
  );
});

test('a family has two names, and both are taken', () => {
  expect(familyNamed('matmul', ['gemm', 'experts'])).toBe('gemm');
  expect(familyNamed('experts', ['matmul', 'moe'])).toBe('moe');
  expect(familyNamed('gate_topk', ['gate-topk'])).toBe('gate-topk');
  expect(() => familyNamed('gem', ['gemm', 'experts'])).toThrow(
    /"gem" \(did you mean "gemm"\?\)\. Families: gemm, experts/,
  );
});
