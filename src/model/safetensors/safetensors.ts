/**
 * Tensors in the safetensors format. Reading makes views into the file's bytes where their position allows it;
 * a tensor that is not aligned to its element size is copied. Little-endian machines, as WebGPU's are.
 */
import { ConfigError } from '../../core/errors.ts';
import { requireFields, requireGiven } from '../../core/given.ts';
import { product, roundUp } from '../../core/math.ts';
import { quoted, shapeText } from '../../core/text/quoted.ts';
import {
  BYTES_OF,
  tensor,
  type Dtype,
  type Tensor,
  type TensorData,
  widenBf16,
} from '../../tensor/tensor.ts';
import { MAX_HEADER_BYTES, readHeader, RESERVED_NAMES, type HeaderEntry } from './header.ts';

const STORED_NAME: Record<Dtype, string> = {
  f64: 'F64',
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  i32: 'I32',
  u32: 'U32',
  i8: 'I8',
  u8: 'U8',
};

/**
 * All tensors of a safetensors file by name, in the order of its header. BF16 widens to f32 exactly; I64 narrows
 * to i32. The others are views that share memory with `bytes` when they are aligned.
 * @param label names the file in messages.
 * @throws ConfigError for a file that breaks the format, an unsupported dtype, and an I64 value out of i32's range.
 */
export function readSafetensors(bytes: Uint8Array, label: string): Map<string, Tensor> {
  requireGiven('The file', bytes, 'list');
  requireGiven('Its name', label, 'string');
  const tensors = new Map<string, Tensor>();
  for (const entry of readHeader(bytes, label)) tensors.set(entry.name, readTensor(bytes, entry, label));
  return tensors;
}

function readTensor(bytes: Uint8Array, entry: HeaderEntry, label: string): Tensor {
  const { shape, count } = entry;
  const elementBytes = count === 0 ? 1 : (entry.end - entry.begin) / count;
  const start = bytes.byteOffset + entry.begin;
  const aligned = start % Math.max(1, elementBytes) === 0 && count > 0;
  // Not slice(): of a Node Buffer that is a view, not a copy.
  const buffer = aligned ? bytes.buffer : new Uint8Array(bytes.subarray(entry.begin, entry.end)).buffer;
  const offset = aligned ? start : 0;
  switch (entry.dtype) {
    case 'F64':
      return tensor('f64', shape, new Float64Array(buffer, offset, count));
    case 'F32':
      return tensor('f32', shape, new Float32Array(buffer, offset, count));
    case 'F16':
      return tensor('f16', shape, new Uint16Array(buffer, offset, count));
    case 'I32':
      return tensor('i32', shape, new Int32Array(buffer, offset, count));
    case 'U32':
      return tensor('u32', shape, new Uint32Array(buffer, offset, count));
    case 'I8':
      return tensor('i8', shape, new Int8Array(buffer, offset, count));
    case 'U8':
      return tensor('u8', shape, new Uint8Array(buffer, offset, count));
    case 'BF16':
      return tensor('f32', shape, widenBf16(new Uint16Array(buffer, offset, count)));
    case 'I64':
      return tensor('i32', shape, narrowI64(new BigInt64Array(buffer, offset, count), entry.name, label));
    default:
      throw new ConfigError(
        `Tensor ${quoted(entry.name)} in ${label} has dtype ${quoted(entry.dtype)}, which is not supported. ` +
          'Its scales lie beside it: openCheckpoint reads both, or convert it to BF16.',
      );
  }
}

function narrowI64(values: BigInt64Array, name: string, label: string): Int32Array {
  return Int32Array.from(values as ArrayLike<unknown> as ArrayLike<bigint>, (value, i) => {
    if (BigInt.asIntN(32, value) !== value) {
      throw new ConfigError(
        `Tensor ${quoted(name)} in ${label} holds ${value.toString()} at element ${i}, beyond 32-bit integers. ` +
          'Store it as F64, or reduce its values.',
      );
    }
    return Number(value);
  });
}

/**
 * A safetensors file of `tensors`. Wide element types come first and the header is padded to 8 bytes, so that
 * every tensor is aligned and reads back as a view; the same tensors give the same bytes in any order of insertion.
 * @param metadata text by name, for whoever opens the file.
 * @throws ConfigError for a reserved name or one that is no text, a header beyond the format's limit, or data that does not fit its shape or dtype.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  requireGiven('What is to be written', tensors, 'record');
  const entries: [string, Tensor][] = isMap(tensors) ? [...tensors] : Object.entries(tensors);
  for (const [name, t] of entries) {
    requireFields(`Tensor ${quoted(name)}`, t, { dtype: 'string', shape: 'list', data: 'list' });
  }
  entries.sort(([a, x], [b, y]) => BYTES_OF[y.dtype] - BYTES_OF[x.dtype] || (a < b ? -1 : a > b ? 1 : 0));
  const header = new Map<string, unknown>();
  if (metadata !== undefined) header.set('__metadata__', metadata);
  let dataBytes = 0;
  for (const [name, t] of entries) {
    checkWritable(name, t);
    const end = dataBytes + t.data.byteLength;
    header.set(name, { dtype: STORED_NAME[t.dtype], shape: t.shape, data_offsets: [dataBytes, end] });
    dataBytes = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerBytes = roundUp(json.length, 8);
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new ConfigError(
      `The names and shapes of ${entries.length} tensors take ${headerBytes} bytes; the format allows ${MAX_HEADER_BYTES}. ` +
        'Shorten the names, or write several files.',
    );
  }
  const file = new Uint8Array(8 + headerBytes + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, 8, 8 + headerBytes);
  file.set(json, 8);
  let cursor = 8 + headerBytes;
  for (const [, { data }] of entries) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), cursor);
    cursor += data.byteLength;
  }
  return file;
}

function isMap(tensors: object): tensors is ReadonlyMap<string, Tensor> {
  return tensors instanceof Map;
}

function checkWritable(name: string, t: Tensor): void {
  if (RESERVED_NAMES.has(name) || name === '__metadata__') {
    throw new ConfigError(`A tensor must not be named ${quoted(name)}: the name is reserved. Rename it.`);
  }
  if (/\p{Surrogate}/u.test(name)) {
    throw new ConfigError(
      `The tensor name ${quoted(name)} holds half a character (a lone surrogate), which no reader takes. Rename it.`,
    );
  }
  if (t.data.length !== product(t.shape) || !holds(t.data, t.dtype)) {
    throw new ConfigError(
      `Tensor ${quoted(name)} says ${t.dtype} ${shapeText(t.shape)}, but its data is a ` +
        `${t.data.constructor.name} of ${t.data.length}. Make it with tensor().`,
    );
  }
}

function holds(data: TensorData, dtype: Dtype): boolean {
  const kinds = {
    f64: Float64Array,
    f32: Float32Array,
    f16: Uint16Array,
    bf16: Uint16Array,
    i32: Int32Array,
    u32: Uint32Array,
    i8: Int8Array,
    u8: Uint8Array,
  };
  return data instanceof kinds[dtype];
}
