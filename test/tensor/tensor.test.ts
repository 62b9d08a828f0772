/** What a tensor may lie in: memory of any kind and place, but as long as its shape says. */
import { expect, test } from 'vitest';
import { Float16Array } from '@petamoriken/float16';
import fc from 'fast-check';
import { ConfigError } from '../../src/core/errors.ts';
import {
  bytesOf,
  castFloat,
  checkTensor,
  tensor,
  type TensorData,
  toF16Bits,
  toF32,
  toF64,
  widenBf16,
} from '../../src/tensor/tensor.ts';

const values = [0.5, -2, 3, 65504];

function resizable(bytes: number): { buffer: ArrayBuffer; resize(bytes: number): void } {
  const buffer = new (ArrayBuffer as new (n: number, o: object) => ArrayBuffer)(bytes, { maxByteLength: 64 });
  return { buffer, resize: (to) => (buffer as unknown as { resize(n: number): void }).resize(to) };
}

test('memory that others may write or resize is copied', () => {
  for (const memory of [new SharedArrayBuffer(16), resizable(16).buffer]) {
    const data = new Float32Array(memory as ArrayBuffer);
    data.set(values);
    const t = tensor('f32', [2, 2], data);
    data[0] = 7;
    expect([...t.data]).toEqual(values);
    expect(Object.prototype.toString.call(t.data.buffer)).toBe('[object ArrayBuffer]');
    const bytes = bytesOf(data, 'x');
    expect(new Float32Array(bytes.buffer)[0]).toBe(7);
    expect(bytes.buffer).not.toBe(memory);
  }
});

test('f16 in shared memory widens', () => {
  const halves = new Uint16Array(new SharedArrayBuffer(4));
  halves.set([0x3c00, 0xc000]);
  expect([...toF32({ dtype: 'f16', shape: [2], data: halves })]).toEqual([1, -2]);
  expect([...castFloat({ dtype: 'f16', shape: [2], data: halves }, 'f32').data]).toEqual([1, -2]);
});

test('f32 becomes the f16 of the library: each half, the middles between them, and their neighbours', () => {
  const halves = new Float32Array(new Float16Array(Uint16Array.from({ length: 0x7c01 }, (_, i) => i).buffer));
  const middles = halves.map((half, i) => (half + Math.min(halves[i + 1] ?? 65536, 65536)) / 2);
  const near = new Uint32Array(3 * middles.length);
  new Uint32Array(middles.buffer).forEach((word, i) => near.set([word - 1, word, word + 1], 3 * i));
  const special = [0, 1, 0x7fffff, 0x33000000, 0x33000001, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fffffff];
  const words = Uint32Array.from([...new Uint32Array(halves.buffer), ...near, ...special]);
  // As expect() would, within a second.
  const differs = (got: ArrayLike<number>, want: ArrayLike<number>): number =>
    Array.from(want).findIndex((value, i) => !Object.is(value, got[i]));
  for (const sign of [0, 0x80000000]) {
    const values = new Float32Array(words.map((word) => word | sign).buffer);
    const wanted = new Float16Array(values);
    expect(differs(toF16Bits(values), new Uint16Array(wanted.buffer))).toBe(-1);
    const stored = { dtype: 'f16' as const, shape: [values.length], data: new Uint16Array(wanted.buffer) };
    expect(differs(toF64(stored), Float64Array.from(wanted))).toBe(-1);
    expect(differs(toF32(stored), Float32Array.from(wanted))).toBe(-1);
  }
});

test('a part of a larger memory is that part, at any offset', () => {
  fc.assert(
    fc.property(fc.nat(5), fc.nat(5), (before, length) => {
      const whole = Float32Array.from({ length: 12 }, (_, i) => i);
      const t = tensor('f32', [length], whole.subarray(before, before + length));
      expect([...new Float32Array(bytesOf(t.data, 'x').slice().buffer)]).toEqual([
        ...whole.slice(before, before + length),
      ]);
    }),
  );
});

test('an array that was transferred away is refused, where it is made and where it is used', () => {
  const data = Float32Array.from(values);
  const t = tensor('f32', [4], data);
  structuredClone(data.buffer, { transfer: [data.buffer] });
  expect(() => tensor('f32', [4], data)).toThrow(
    /needs 4 elements, but 0 were given\. Its array was transferred/,
  );
  expect(() => checkTensor(t, 'Tensor x')).toThrow(/^Tensor x of shape \[4\]/);
  expect(() => bytesOf(t.data, 'x')).toThrow(/^The array of x was transferred away/);
  expect(bytesOf(new Float32Array(0), 'empty')).toHaveLength(0);
});

test('an array that has shrunk since is refused', () => {
  const memory = resizable(16);
  const t = { dtype: 'f32', shape: [4], data: new Float32Array(memory.buffer) } as const;
  checkTensor(t);
  memory.resize(8);
  expect(() => checkTensor(t)).toThrow(/needs 4 elements, but 2 were given/);
});

test.each([
  ['f32', [2], new Float64Array(2), /A tensor of f32 needs a Float32Array, but a Float64Array was given/],
  ['f16', [2], new Float32Array(2), /f16 needs a Uint16Array/],
  ['f32', [2], new DataView(new ArrayBuffer(8)), /f32 needs a Float32Array, but a DataView/],
  ['i32', [2], new BigInt64Array(2), /i32 needs a Int32Array, but a BigInt64Array/],
  ['f32', [2], [1, 2], /but a Array was given/],
  ['f8', [2], new Uint8Array(2), /has the dtype f8\. Known are f32, f16/],
  ['f32', [-1, -2], new Float32Array(2), /every dimension is an integer of 0 or more/],
  ['f32', [0.5, 4], new Float32Array(2), /every dimension/],
  ['f32', [NaN], new Float32Array(2), /every dimension/],
  ['f32', [3], new Float32Array(2), /of shape \[3\] needs 3 elements, but 2 were given/],
] as const)('%s %j is refused', (dtype, shape, data, message) => {
  const make = (): unknown => tensor(dtype as 'f32', shape, data as unknown as TensorData);
  expect(make).toThrow(message);
  expect(make).toThrow(ConfigError);
});

test("Node's buffers are arrays of bytes", () => {
  expect(tensor('u8', [2], Buffer.from([1, 2])).data).toHaveLength(2);
});

test.each([0, 1, 2, 3, 7])('%d values of bf16 are the upper halves of f32, wherever they lie', (count) => {
  const halves = Uint16Array.from({ length: 12 }, (_, i) => 0x3f80 + 977 * i);
  for (const offset of [0, 1, 2]) {
    const some = halves.subarray(offset, offset + count);
    const bits = new Uint32Array(widenBf16(some).buffer);
    expect([...bits]).toEqual([...some].map((half) => half * 2 ** 16));
  }
});
