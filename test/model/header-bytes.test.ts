/** A tensor has exactly the bytes of its shape: neither fewer nor more. */
import { expect, test } from 'vitest';
import { readSafetensors } from '../../src/model/safetensors/safetensors.ts';

function fileWith(shape: number[], bytes: number): Uint8Array {
  const header = JSON.stringify({ a: { dtype: 'F32', shape, data_offsets: [0, bytes] } });
  const json = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + json.length + bytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  return file;
}

test('as many as its shape says', () => {
  expect(readSafetensors(fileWith([2, 1], 8), 'x').get('a')?.shape).toEqual([2, 1]);
});

test.each([
  [[2], 4],
  [[2], 12],
  [[0], 4],
  [[], 8],
])('refuses shape %j with %i bytes', (shape, bytes) => {
  expect(() => readSafetensors(fileWith(shape, bytes), 'x')).toThrow(/bytes/);
});
