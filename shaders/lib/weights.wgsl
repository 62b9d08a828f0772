// Weights one at a time and four at a time, in each format, and their scales.

// A value in four bits, not yet scaled.
fn nibble(bits : u32) -> f32 {
  if (FORMAT == 3u) { return f32(bits) - 8.0; }
  if (FORMAT == 5u) { return smallPair(bits << 12u, bits << 9u).x * 0x1p14f; }
  // Magnitudes of e2m1 in halves, 0 1 2 3 4 6 8 12, are the nibbles of a constant.
  let half = 0.5 * f32((0xc8643210u >> ((bits & 7u) * 4u)) & 15u);
  return select(half, -half, bits >= 8u);
}

// Scale `index` of all; with WIDE the half of it that goes with the weight.
fn scaleOf(weights : ptr<storage, array<u32>, read>, index : u32) -> f32 {
  let scale = bitcast<f32>((*weights)[params.scaleStart + index]);
  if (WIDE) { return halvesOf(scale).x; }
  return scale;
}

// Value `index` of all, counted row by row; `row` is the row that it lies in.
fn weight(weights : ptr<storage, array<u32>, read>, index : u32, row : u32) -> f32 {
  if (FORMAT == 0u) { return bitcast<f32>((*weights)[index]); }
  if (FORMAT == 1u) { return halves2((*weights)[index >> 1u])[index & 1u]; }
  if (FORMAT == 2u) {
    let bits = (*weights)[index >> 2u] << (24u - 8u * (index & 3u));
    return f32(bitcast<i32>(bits) >> 24u) * scaleOf(weights, row);
  }
  return nibble(((*weights)[index >> 3u] >> (4u * (index & 7u))) & 15u) * scaleOf(weights, index >> 5u);
}

// What a product with this weight still lacks of its scale.
fn factor(weights : ptr<storage, array<u32>, read>, index : u32, row : u32) -> f32 {
  return halvesOf(bitcast<f32>((*weights)[params.scaleStart + select(index >> 5u, row, FORMAT == 2u)])).y;
}

// Two values of e2m1 times 2^-14, which f16 holds in the same bits, 0.5 below its normal numbers: one in each half of a word, the
// sign at bit 15, the rest from bit 9 on.
fn smallPair(signs : u32, others : u32) -> vec2<f32> {
  return unpack2x16float((signs & 0x80008000u) | (others & 0x0e000e00u));
}

// Four values of e2m1 times 2^-14.
fn small4(bits : u32) -> vec4<f32> {
  let upper = bits << 16u;
  let spread = upper | (upper >> 12u);
  return vec4<f32>(smallPair(spread << 8u, spread << 5u), smallPair(spread, spread >> 3u));
}

// Four values in nibbles, not yet scaled.
fn nibbles4(bits : u32) -> vec4<f32> {
  if (FORMAT == 5u) { return small4(bits) * 0x1p14f; }
  let nibbles = (vec4<u32>(bits) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
  if (FORMAT == 3u) { return vec4<f32>(nibbles) - 8.0; }
  // Magnitudes of e2m1 in halves, 0 1 2 3 4 6 8 12, are the nibbles of a constant.
  let halves = vec4<f32>((vec4<u32>(0xc8643210u) >> ((nibbles & vec4<u32>(7u)) * 4u)) & vec4<u32>(15u));
  return 0.5 * select(halves, -halves, nibbles >= vec4<u32>(8u));
}

// Eight values in the nibbles of a word, not yet scaled.
fn nibbles8(word : u32) -> mat2x4<f32> {
  if (FORMAT != 5u) { return mat2x4<f32>(nibbles4(word), nibbles4(word >> 16u)); }
  let a = smallPair(word << 12u, word << 9u);
  let b = smallPair(word << 8u, word << 5u);
  let c = smallPair(word << 4u, word << 1u);
  let d = smallPair(word, word >> 3u);
  return mat2x4<f32>(vec4<f32>(a.x, b.x, c.x, d.x) * 0x1p14f, vec4<f32>(a.y, b.y, c.y, d.y) * 0x1p14f);
}

// Two values of 16 bits: f16, or bf16, which is the upper half of an f32.
fn halves2(word : u32) -> vec2<f32> {
  if (BF16) { return bitcast<vec2<f32>>(vec2<u32>(word << 16u, word & 0xffff0000u)); }
  return unpack2x16float(word);
}

// Four values of 16 bits.
fn halves4(low : u32, high : u32) -> vec4<f32> { return vec4<f32>(halves2(low), halves2(high)); }

// Four signed bytes.
fn bytes4(word : u32) -> vec4<f32> { return vec4<f32>(unpack4xI8(word)); }

// Scale `index` of all.
fn scale(weights : ptr<storage, array<vec4<u32>>, read>, index : u32) -> f32 {
  let at = params.scaleStart + index;
  return bitcast<f32>((*weights)[at >> 2u][at & 3u]);
}
