/** The same model stored otherwise: gpt-oss in BF16 is gpt-oss in MXFP4, and FP8 matrices are what their blocks say. */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { at, product } from '../../../src/core/math.ts';
import { type Checkpoint, loadCheckpoint } from '../../../src/model/checkpoint.ts';
import { referenceModel } from '../../../src/reference/forward.ts';
import { errorOf, type FamilyName, folderOf, referenceOf } from './checkpoints.ts';

interface Stored {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}
type Tensors = Map<string, Stored>;

function parse(file: Uint8Array): Tensors {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  delete header['__metadata__'];
  const data = file.subarray(8 + length);
  return new Map(
    Object.entries(header).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => [name, { dtype, shape, bytes: data.slice(begin, end) }],
    ),
  );
}

function format(tensors: Tensors): Uint8Array {
  let end = 0;
  const header = Object.fromEntries(
    [...tensors].map(([name, { dtype, shape, bytes }]) => {
      const begin = end;
      end += bytes.length;
      return [name, { dtype, shape, data_offsets: [begin, end] }];
    }),
  );
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  let place = 8 + text.length;
  for (const { bytes } of tensors.values()) {
    file.set(bytes, place);
    place += bytes.length;
  }
  return file;
}

/** The checkpoint of a family with other tensors and fields. */
function load(
  name: FamilyName,
  change: (tensors: Tensors) => Tensors,
  fields: Readonly<Record<string, unknown>>,
): Promise<Checkpoint> {
  return loadCheckpoint(folderOf(name), async (path) => {
    const bytes = new Uint8Array(await readFile(path));
    if (path.endsWith('/model.safetensors')) return format(change(parse(bytes)));
    if (!path.endsWith('/config.json')) return bytes;
    const config = JSON.parse(new TextDecoder().decode(bytes)) as object;
    return new TextEncoder().encode(JSON.stringify({ ...config, ...fields }));
  });
}

const bytesOf = ({ buffer }: Float32Array | Uint16Array): Uint8Array => new Uint8Array(buffer);
const bf16 = (values: Float32Array): Uint8Array =>
  bytesOf(Uint16Array.from(new Uint32Array(values.buffer), (word) => word >>> 16));
const fromBf16 = (bytes: Uint8Array): Float32Array =>
  new Float32Array(Uint32Array.from(new Uint16Array(bytes.buffer), (half) => half << 16).buffer);

/** E2M1, the low half of a byte first. */
const FP4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];

/** [E, rows, K / 32, 16] with [E, rows, K / 32] as BF16 with inputs as rows: [E, K, rows]. */
function unpacked({ shape, bytes }: Stored, scales: Stored): Stored {
  const [experts, rows, blocks] = [at(shape, 0), at(shape, 1), at(shape, 2)];
  const depth = 32 * blocks;
  const values = new Float32Array(experts * depth * rows);
  for (let e = 0; e < experts; e++) {
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < depth; k++) {
        const block = (e * rows + row) * blocks + Math.floor(k / 32);
        const byte = at(bytes, 16 * block + Math.floor((k % 32) / 2));
        const value = at(FP4, k % 2 === 0 ? byte & 15 : byte >> 4) * 2 ** (at(scales.bytes, block) - 127);
        values[(e * depth + k) * rows + row] = value;
      }
    }
  }
  return { dtype: 'BF16', shape: [experts, depth, rows], bytes: bf16(values) };
}

test('gpt-oss in BF16: matrices of experts lie with inputs as rows', async () => {
  const model = await load(
    'gpt-oss-mxfp4',
    (tensors) => {
      for (const [name, blocks] of tensors) {
        if (!name.endsWith('_blocks')) continue;
        const own = name.slice(0, -'_blocks'.length);
        const scales = tensors.get(`${own}_scales`);
        if (scales === undefined) throw new Error(`${own} has no scales`);
        tensors.set(own, unpacked(blocks, scales));
        tensors.delete(name);
        tensors.delete(`${own}_scales`);
      }
      return tensors;
    },
    { quantization_config: undefined },
  );
  const { ids, greedy, logits } = at((await referenceOf('gpt-oss-mxfp4')).cases, 1);
  const reference = referenceModel(model);
  const { logits_TV } = reference.forward(ids);
  expect(errorOf(logits_TV.subarray(-model.config.vocabSize), logits)).toBeLessThan(1e-6);
  expect(reference.generate(ids, greedy.length)).toEqual(greedy);
});

/** E4M3 without infinities: 4 bits of exponent, 3 of fraction. */
function fromE4m3(byte: number): number {
  const [sign, exponent, fraction] = [byte >> 7, (byte >> 3) & 15, byte & 7];
  if (exponent === 15 && fraction === 7) return NaN;
  const size = exponent === 0 ? (fraction / 8) * 2 ** -6 : (1 + fraction / 8) * 2 ** (exponent - 7);
  return sign === 1 ? -size : size;
}
/** Of all that are numbers. */
const E4M3 = Array.from({ length: 256 }, (_, byte) => fromE4m3(byte));
const nearest = (value: number): number => {
  let best = 0;
  for (let byte = 0; byte < 256; byte++) {
    if (Math.abs(at(E4M3, byte) - value) < Math.abs(at(E4M3, best) - value)) best = byte;
  }
  return best;
};

test('FP8 with a scale per block of rows and columns, cut at the edges', async () => {
  const BLOCK = [16, 32] as const;
  // Of one layer, as files leave some matrices as they are.
  const quantised = /layers\.0\..*(?:q|gate|down)_proj\.weight$/;
  /** The matrices in FP8, or in f32 what they then are. */
  const change = (widened: boolean) => (tensors: Tensors) => {
    for (const [name, { shape, bytes }] of [...tensors]) {
      if (!quantised.test(name)) continue;
      const values = fromBf16(bytes);
      const [rows, columns] = [at(shape, 0), at(shape, 1)];
      const grid = [Math.ceil(rows / BLOCK[0]), Math.ceil(columns / BLOCK[1])];
      // Of their own, so that a scale of another block is seen.
      const scales = Float32Array.from({ length: product(grid) }, (_, i) => 2 ** -9 * (1 + (i % 5) / 4));
      const scaleOf = (i: number): number => {
        const [row, column] = [Math.floor(i / columns), i % columns];
        return at(scales, Math.floor(row / BLOCK[0]) * at(grid, 1) + Math.floor(column / BLOCK[1]));
      };
      const codes = Uint8Array.from(values, (value, i) => nearest(value / scaleOf(i)));
      if (widened) {
        const wide = Float32Array.from(codes, (code, i) => at(E4M3, code) * scaleOf(i));
        tensors.set(name, { dtype: 'F32', shape, bytes: bytesOf(wide) });
      } else {
        tensors.set(name, { dtype: 'F8_E4M3', shape, bytes: codes });
        tensors.set(`${name}_scale_inv`, { dtype: 'F32', shape: grid, bytes: bytesOf(scales) });
      }
    }
    return tensors;
  };
  const quantization_config = {
    ...{ quant_method: 'fp8', fmt: 'e4m3', activation_scheme: 'dynamic' },
    weight_block_size: BLOCK,
  };
  const [packed, wide] = await Promise.all([
    load('qwen3-moe', change(false), { quantization_config }),
    load('qwen3-moe', change(true), {}),
  ]);
  const { ids } = at((await referenceOf('qwen3-moe')).cases, 1);
  const [got, want] = [packed, wide].map((model) => referenceModel(model).forward(ids).logits_TV);
  expect(got).toEqual(want);
  expect(errorOf(got ?? [], [...(want ?? [])])).toBeLessThan(1e-12);
});
