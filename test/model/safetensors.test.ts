import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { at, product } from '../../src/core/math.ts';
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors/safetensors.ts';
import { entry, fileOf } from './safetensors-file.ts';
import { tensor, toBf16Bits, toF16Bits, type Dtype, type Tensor } from '../../src/tensor/tensor.ts';

function read(file: Uint8Array): Map<string, Tensor> {
  return readSafetensors(file, 'x.safetensors');
}

describe('reading', () => {
  test('an f32 pair, by hand', () => {
    const file = fileOf({ a: entry('F32', [1, 2], [0, 8]) }, [0, 0, 128, 63, 0, 0, 0, 192]); // 1, -2
    expect(read(file).get('a')).toEqual(tensor('f32', [1, 2], Float32Array.of(1, -2)));
  });

  test('bf16 widens to f32: 0x3FC0 is 1.5, 0xFF80 is -Infinity', () => {
    const file = fileOf({ a: entry('BF16', [2], [0, 4]) }, [0xc0, 0x3f, 0x80, 0xff]);
    expect(read(file).get('a')).toEqual(tensor('f32', [2], Float32Array.of(1.5, -Infinity)));
  });

  test('i64 narrows to i32, and says which value does not fit', () => {
    const bytes = (...values: bigint[]): Uint8Array => new Uint8Array(BigInt64Array.from(values).buffer);
    const good = fileOf({ a: entry('I64', [2], [0, 16]) }, bytes(-3n, 2147483647n));
    expect(read(good).get('a')).toEqual(tensor('i32', [2], Int32Array.of(-3, 2147483647)));
    const bad = fileOf({ a: entry('I64', [2], [0, 16]) }, bytes(0n, 2147483648n));
    expect(() => read(bad)).toThrow(/"a" in x\.safetensors holds 2147483648 at element 1/);
  });

  test('an aligned tensor is a view, a misaligned one a copy', () => {
    const aligned = writeSafetensors({ a: tensor('f32', [1], Float32Array.of(5)) });
    expect(read(aligned).get('a')?.data.buffer).toBe(aligned.buffer);
    const moved = new Uint8Array(aligned.length + 1);
    moved.set(aligned, 1);
    const copy = read(moved.subarray(1)).get('a');
    expect(copy?.data).toEqual(Float32Array.of(5));
    expect(copy?.data.buffer).not.toBe(moved.buffer);
  });

  test('a tensor without elements, and one without dimensions', () => {
    const file = fileOf({ none: entry('F32', [0, 3], [0, 0]), one: entry('U32', [], [0, 4]) }, [7, 0, 0, 0]);
    expect(read(file).get('none')).toEqual(tensor('f32', [0, 3], new Float32Array()));
    expect(read(file).get('one')).toEqual(tensor('u32', [], Uint32Array.of(7)));
  });
});

const f32 = entry('F32', [1], [0, 4]);
const four = [0, 0, 0, 0];
const HUGE = Number.MAX_SAFE_INTEGER;
const broken: readonly [what: string, file: Uint8Array, message: RegExp][] = [
  ['shorter than the length field', new Uint8Array(7), /has 7 bytes/],
  ['a header longer than the file', fileOf('{}', [], 3), /claims a header of 3 bytes, but only 2 follow/],
  ['a header beyond the format limit', fileOf('{}', [], 100e6 + 1), /the format allows 100000000/],
  ['a length beyond 2^53', Uint8Array.from([255, 255, 255, 255, 255, 255, 255, 255, 1]), /claims a header/],
  ['not UTF-8', fileOf('{"a', []).map((b, i) => (i === 9 ? 0xff : b)), /not valid UTF-8/],
  ['not JSON', fileOf('{"a":'), /not valid JSON/],
  ['an array', fileOf('[]'), /not a JSON object/],
  ['null', fileOf('null'), /not a JSON object/],
  ['a name twice', fileOf('{"a":1,"a":2}'), /key "a" twice/],
  ['a name twice, once escaped', fileOf('{"a":1,"\\u0061":2}'), /key "a" twice/],
  ['a field twice', fileOf('{"a":{"dtype":"F32","dtype":"F16"}}'), /key "dtype" twice/],
  ['an entry that is no object', fileOf({ a: [] }), /"a" in x\.safetensors is not described by an object/],
  ['no dtype', fileOf({ a: {} }), /dtype undefined, which is not supported/],
  ['an unsupported dtype', fileOf({ a: entry('F8_E4M3', [4], [0, 4]) }, four), /"a".*dtype "F8_E4M3"/],
  ['a dtype from the prototype', fileOf({ a: entry('toString', [1], [0, 4]) }, four), /dtype "toString"/],
  ['a shape that is no array', fileOf({ a: entry('F32', 1, [0, 4]) }, four), /shape 1; it must be an array/],
  ['a negative size', fileOf({ a: entry('F32', [-1], [0, 4]) }, four), /shape \[-1\]/],
  ['a fractional size', fileOf({ a: entry('F32', [0.5], [0, 4]) }, four), /shape \[0\.5\]/],
  ['a size in text', fileOf({ a: entry('F32', ['1'], [0, 4]) }, four), /shape \["1"\]/],
  ['an overflowing shape', fileOf({ a: entry('F32', [HUGE, HUGE], [0, 4]) }, four), /size overflows/],
  [
    'offsets that are no pair',
    fileOf({ a: entry('F32', [1], [0, 4, 8]) }, four),
    /must be two whole numbers/,
  ],
  ['fractional offsets', fileOf({ a: entry('F32', [1], [0, 4.5]) }, four), /must be two whole numbers/],
  ['reversed offsets', fileOf({ a: entry('F32', [1], [4, 0]) }, four), /end before they begin/],
  ['offsets past the end', fileOf({ a: f32 }, [0, 0]), /ends at byte 4 of the data, but there are 2/],
  ['a length that is not the shape', fileOf({ a: entry('F32', [2], [0, 4]) }, four), /has 4 bytes.*needs 8/],
  ['an overlap', fileOf({ a: f32, b: f32 }, four), /"b" in x\.safetensors overlaps/],
  ['a hole', fileOf({ a: entry('F32', [1], [4, 8]) }, [...four, ...four]), /"a".*leaves a hole before it/],
  ['bytes after the last', fileOf({ a: f32 }, [...four, 0]), /1 bytes after its last tensor/],
  ['metadata that is not text', fileOf({ __metadata__: { n: 1 } }), /"__metadata__".*not an object of text/],
  ['a tensor named __proto__', fileOf('{"__proto__":{}}'), /"__proto__".*reserved name/],
  ['a tensor named constructor', fileOf('{"constructor":{}}'), /"constructor".*reserved name/],
];

test.each(broken)('refuses %s', (_, file, message) => {
  expect(() => read(file)).toThrow(ConfigError);
  expect(() => read(file)).toThrow(message);
});

describe('writing', () => {
  test('aligns every tensor and gives the same bytes in any order', () => {
    const a = tensor('f16', [3], toF16Bits([1, 2, 3]));
    const b = tensor('f64', [1], Float64Array.of(0.1));
    const file = writeSafetensors({ a, b }, { made: 'here' });
    expect(file).toEqual(writeSafetensors(new Map([['b', b], ['a', a]]), { made: 'here' })); // prettier-ignore
    expect(read(file)).toEqual(new Map<string, Tensor>([['a', a], ['b', b]])); // prettier-ignore
    for (const t of read(file).values()) expect(t.data.buffer).toBe(file.buffer);
  });

  test('refuses reserved names and data of another kind', () => {
    const a = tensor('f32', [1], Float32Array.of(1));
    expect(() => writeSafetensors(new Map([['__proto__', a]]))).toThrow(/"__proto__": the name is reserved/);
    expect(() => writeSafetensors(new Map([['\ud800', a]]))).toThrow(/"\\ud800" holds half a character/);
    expect(() => writeSafetensors({ a: { ...a, dtype: 'f16' } })).toThrow(
      /says f16 \[1\].*Float32Array of 1/,
    );
  });
});

const MAKE: Record<Dtype, (values: number[]) => Tensor['data']> = {
  f32: (v) => Float32Array.from(v),
  f64: (v) => Float64Array.from(v),
  f16: (v) => toF16Bits(v),
  bf16: (v) => toBf16Bits(Float32Array.from(v)),
  i32: (v) => Int32Array.from(v),
  u32: (v) => Uint32Array.from(v),
  i8: (v) => Int8Array.from(v),
  u8: (v) => Uint8Array.from(v),
};

const anyTensor = fc
  .record({
    dtype: fc.constantFrom<Dtype>('f32', 'f64', 'f16', 'i32', 'u32', 'i8', 'u8'),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
    seed: fc.integer({ min: 0, max: 1000 }),
  })
  .map(({ dtype, shape, seed }) =>
    tensor(dtype, shape, MAKE[dtype](Array.from({ length: product(shape) }, (_, i) => (seed + 7 * i) % 97))),
  );
const anyName = fc
  .string({ unit: 'grapheme' })
  .filter((s) => !['__proto__', 'prototype', 'constructor', '__metadata__'].includes(s));

test('what is written reads back equal', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(anyName, anyTensor), { maxLength: 6 }), (pairs) => {
      const tensors = new Map(pairs);
      expect(read(writeSafetensors(tensors))).toEqual(tensors);
    }),
    { numRuns: 100 },
  );
});

test('a corrupted file reads or fails with a ConfigError, never otherwise', () => {
  const good = writeSafetensors(
    {
      a: tensor('f32', [2, 3], new Float32Array(6)),
      'model.b': tensor('i32', [4], new Int32Array(4)),
      c: tensor('f16', [0], new Uint16Array()),
    },
    { format: 'pt' },
  );
  const edit = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.nat(good.length), (edits, length) => {
      const bad = good.slice(0, length % 3 === 0 ? length : good.length);
      for (const [position, byte] of edits) bad[position % Math.max(1, bad.length)] = byte;
      try {
        for (const t of read(bad).values()) expect(t.data.length).toBe(product(t.shape));
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
      }
    }),
    { numRuns: 2000 },
  );
});

test('any JSON as a header reads or fails with a ConfigError', () => {
  const offsets = fc.tuple(fc.integer(), fc.integer());
  const almost = fc.record({
    dtype: fc.constantFrom('F32', 'I64', 'BF16', 'BOOL'),
    shape: fc.array(fc.oneof(fc.integer(), fc.maxSafeInteger(), fc.double())),
    data_offsets: offsets,
  });
  const header = fc.oneof(
    fc.json(),
    fc.dictionary(fc.string(), almost).map((h) => JSON.stringify(h)),
  );
  fc.assert(
    fc.property(header, fc.uint8Array({ maxLength: 32 }), (text, data) => {
      try {
        for (const t of read(fileOf(text, data)).values()) expect(t.data.length).toBe(product(t.shape));
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        expect(at((error as Error).message.split(' '), 0)).not.toBe('');
      }
    }),
    { numRuns: 1000 },
  );
});

test.each([0, 1, 2, 3, 5])(
  'data that is not aligned, in a Buffer with %i bytes of header padding, reads the same',
  (pad) => {
    const values = Float32Array.from([1.5, -2.25, 3e-8, 4e20]);
    const header = `{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}${' '.repeat(pad)}`;
    // As Python's writers do it: no padding to 8 bytes. Buffer.concat gives a Buffer, whose slice() is a view.
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(header.length));
    const file = Buffer.concat([
      Buffer.from('skip!'.repeat(pad)),
      size,
      Buffer.from(header),
      Buffer.from(values.buffer),
    ]);
    const read = readSafetensors(file.subarray(5 * pad), 'file').get('a');
    expect(read?.data).toEqual(values);
  },
);
