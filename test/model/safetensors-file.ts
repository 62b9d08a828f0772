/** Safetensors files built by hand, right and wrong. */

/** A file with any header text and data. */
export function fileOf(
  header: string | object,
  data: ArrayLike<number> = [],
  headerBytes?: number,
): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + json.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes ?? json.length), true);
  file.set(json, 8);
  file.set(data, 8 + json.length);
  return file;
}

export const entry = (dtype: unknown, shape: unknown, offsets: unknown): object => ({
  dtype,
  shape,
  data_offsets: offsets,
});
