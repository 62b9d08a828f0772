/**
 * The header of a safetensors file: 8 bytes of little-endian length, then JSON
 * `{name: {dtype, shape, data_offsets: [begin, end]}, "__metadata__": {text: text}}`, then the data, which the
 * tensors tile without overlap and without holes. The file comes from anywhere, so every rule is checked, as the
 * reference reader (safetensors 0.8) does; beyond it a key twice is refused, which the format forbids.
 */
import { ConfigError } from '../../core/errors.ts';
import { at } from '../../core/math.ts';
import { quoted, shapeText } from '../../core/text/quoted.ts';
import { parseStrictJson } from './strict-json.ts';

/** One tensor's place. `begin` and `end` are byte positions in the file, not in the data section. */
export interface HeaderEntry {
  readonly name: string;
  /** As the file spells it: 'F32', 'BF16', ... */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly count: number;
  readonly begin: number;
  readonly end: number;
}

/** Element types that can be read, with their bytes. */
export const STORED_BYTES: Readonly<Record<string, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  I64: 8,
  I32: 4,
  U32: 4,
  I8: 1,
  U8: 1,
};

/** The format's own limit, which keeps a hostile length from becoming a huge allocation. */
export const MAX_HEADER_BYTES = 100e6;

/** Levels of arrays and objects that the reference reader follows. */
const DEEPEST = 127;

/** Names that would reach into an object's prototype in a careless reader. */
export const RESERVED_NAMES: ReadonlySet<string> = new Set(['__proto__', 'prototype', 'constructor']);

/** Bytes of a header that has room to be read in one go with its length. A guess. */
export const FIRST_READ = 2 ** 16;

/** Where the header ends, from the first bytes of a file; `readHeader` refuses what makes no sense. */
export function headerEnd(bytes: Uint8Array): number {
  if (bytes.length < 8) return bytes.length;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return 8 + Math.min(MAX_HEADER_BYTES, Number(view.getBigUint64(0, true)));
}

const AGAIN = 'The file is damaged or not safetensors; fetch or export it again.';

/**
 * @param bytes of the file from its start, at least up to the end of the header; @param fileBytes how many it has in all.
 * @throws ConfigError for each broken rule, naming the file (`label`), the tensor, and what was found.
 */
export function readHeader(bytes: Uint8Array, label: string, fileBytes = bytes.length): HeaderEntry[] {
  refusePointer(bytes, label);
  if (bytes.length < 8) {
    throw new ConfigError(
      `${label} has ${bytes.length} bytes; a safetensors file starts with 8 bytes of header length. ${AGAIN}`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = Number(view.getBigUint64(0, true));
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new ConfigError(
      `${label} claims a header of ${headerBytes} bytes; the format allows ${MAX_HEADER_BYTES}. ${AGAIN}`,
    );
  }
  if (headerBytes > fileBytes - 8) {
    throw new ConfigError(
      `${label} claims a header of ${headerBytes} bytes, but only ${fileBytes - 8} follow its length: it is cut short, or not safetensors. Fetch it again.`,
    );
  }
  const json = parseStrictJson(bytes.subarray(8, 8 + headerBytes), `The header of ${label}`, {
    deepest: DEEPEST,
    mark: false,
    onNumber: (spelling, path) => requireDigits(spelling, path, label),
  });
  if (!isObject(json)) {
    throw new ConfigError(`The header of ${label} is not a JSON object of tensors by name. ${AGAIN}`);
  }
  const entries: HeaderEntry[] = [];
  for (const [name, value] of Object.entries(json)) {
    if (name === '__metadata__') checkMetadata(value, label);
    else entries.push(readEntry(name, value, 8 + headerBytes, fileBytes, label));
  }
  checkTiling(entries, 8 + headerBytes, fileBytes, label);
  return entries;
}

const POINTER = new TextEncoder().encode('version https://git-lfs');

/** @throws ConfigError for what git leaves in place of a large file that was not fetched. */
export function refusePointer(bytes: Uint8Array, label: string): void {
  if (bytes.length < POINTER.length || !POINTER.every((byte, i) => bytes[i] === byte)) return;
  throw new ConfigError(
    `${label} is a Git LFS pointer, a note of where the file lies, and not the file. Run git lfs pull in its folder.`,
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `1.0` and `1e2` are no sizes to the reference reader, though they are whole numbers. */
function requireDigits(spelling: string, path: readonly string[], label: string): void {
  const [name, field] = path;
  if (path.length !== 2 || (field !== 'shape' && field !== 'data_offsets')) return;
  if (/^\d+$/.test(spelling) || !isNatural(Number(spelling))) return;
  throw new ConfigError(
    `Tensor ${quoted(name)} in ${label} has ${quoted(spelling).slice(1, -1)} in its ${field}; sizes and offsets are ` +
      `whole numbers from 0 in plain digits. ${AGAIN}`,
  );
}

/** `null` is as good as none. */
function checkMetadata(value: unknown, label: string): void {
  if (value === null) return;
  if (!isObject(value) || Object.values(value).some((v) => typeof v !== 'string')) {
    throw new ConfigError(
      `"__metadata__" in the header of ${label} is not an object of text by name. ${AGAIN}`,
    );
  }
}

function readEntry(
  name: string,
  value: unknown,
  dataStart: number,
  fileBytes: number,
  label: string,
): HeaderEntry {
  const where = `Tensor ${quoted(name)} in ${label}`;
  if (RESERVED_NAMES.has(name)) {
    throw new ConfigError(`${where} has a reserved name (it reaches into an object's prototype). Rename it.`);
  }
  if (!isObject(value)) {
    throw new ConfigError(`${where} is not described by an object {dtype, shape, data_offsets}. ${AGAIN}`);
  }
  const { dtype, shape, data_offsets: offsets } = value;
  const elementBytes = typeof dtype === 'string' ? storedBytes(dtype) : undefined;
  if (typeof dtype !== 'string' || elementBytes === undefined) {
    throw new ConfigError(
      `${where} has dtype ${quoted(dtype)}, which is not supported. ` +
        `Convert it to one of ${Object.keys(STORED_BYTES).join(', ')}.`,
    );
  }
  const sizes = naturals(shape);
  if (sizes === undefined) {
    throw new ConfigError(
      `${where} has shape ${quoted(shape)}; it must be an array of whole numbers from 0. ${AGAIN}`,
    );
  }
  let count = 1;
  for (const size of sizes) count *= size;
  if (!sizes.every(Number.isSafeInteger) || !Number.isSafeInteger(count * elementBytes)) {
    throw new ConfigError(`${where} has shape ${shapeText(sizes)}, whose size overflows. ${AGAIN}`);
  }
  const span = naturals(offsets);
  if (span?.length !== 2) {
    throw new ConfigError(
      `${where} has data_offsets ${quoted(offsets)}; they must be two whole numbers from 0. ${AGAIN}`,
    );
  }
  const begin = at(span, 0);
  const end = at(span, 1);
  if (begin > end) {
    throw new ConfigError(
      `${where} has data_offsets [${begin}, ${end}], which end before they begin. ${AGAIN}`,
    );
  }
  if (end > fileBytes - dataStart) {
    throw new ConfigError(
      `${where} ends at byte ${end} of the data, but there are ${fileBytes - dataStart}. The file is cut short; fetch it again.`,
    );
  }
  if (end - begin !== count * elementBytes) {
    throw new ConfigError(
      `${where} has ${end - begin} bytes, but shape ${shapeText(sizes)} of ${dtype} needs ${count * elementBytes}. ${AGAIN}`,
    );
  }
  return { name, dtype, shape: sizes, count, begin: dataStart + begin, end: dataStart + end };
}

function storedBytes(dtype: string): number | undefined {
  return Object.hasOwn(STORED_BYTES, dtype) ? STORED_BYTES[dtype] : undefined;
}

/** `value` as an array of safe integers from 0, or undefined when it is not one. */
function naturals(value: unknown): number[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const numbers = value as unknown[];
  return numbers.every(isNatural) ? numbers : undefined;
}

function isNatural(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function checkTiling(entries: readonly HeaderEntry[], start: number, end: number, label: string): void {
  const sorted = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let cursor = start;
  for (const entry of sorted) {
    if (entry.begin !== cursor) {
      const what = entry.begin < cursor ? 'overlaps the tensor before it' : 'leaves a hole before it';
      throw new ConfigError(
        `Tensor ${quoted(entry.name)} in ${label} ${what}: it begins at byte ${entry.begin - start} of the ` +
          `data, not at ${cursor - start}. ${AGAIN}`,
      );
    }
    cursor = entry.end;
  }
  if (cursor !== end) {
    throw new ConfigError(`${label} has ${end - cursor} bytes after its last tensor. ${AGAIN}`);
  }
}
