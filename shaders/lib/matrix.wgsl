// Operands of matrix units: rows of 8 values along k as halves in a vec4 of workgroup storage, a second half where one does
// not hold a value, and powers of two by row that keep both within f16.

// Eight values along k of a row of weights, as they are stored.
struct Stored8 { x : vec4<u32>, y : vec4<u32> }

// Two groups of four by their numbers; of nibbles both lie in one word.
fn stored8(weights : ptr<storage, array<Pack>, read>, near : u32, far : u32) -> Stored8 {
  if (FORMAT == 0u) { return Stored8(vec4<u32>((*weights)[near]), vec4<u32>((*weights)[far])); }
  if (FORMAT == 1u) {
    return Stored8(vec4<u32>(word(weights, 2u * near), word(weights, 2u * near + 1u),
                             word(weights, 2u * far), word(weights, 2u * far + 1u)), vec4<u32>());
  }
  if (FORMAT == 2u) { return Stored8(vec4<u32>(word(weights, near), word(weights, far), 0u, 0u), vec4<u32>()); }
  return Stored8(vec4<u32>(word(weights, near >> 1u), 0u, 0u, 0u), vec4<u32>());
}

// What eight stored values are, not yet scaled.
fn values8(w : Stored8) -> mat2x4<f32> {
  if (FORMAT == 0u) { return mat2x4<f32>(bitcast<vec4<f32>>(w.x), bitcast<vec4<f32>>(w.y)); }
  if (FORMAT == 1u) { return mat2x4<f32>(halves4(w.x.x, w.x.y), halves4(w.x.z, w.x.w)); }
  if (FORMAT == 2u) { return mat2x4<f32>(bytes4(w.x.x), bytes4(w.x.y)); }
  return nibbles8(w.x.x);
}

// The scale of a row at a group along k, from the groups before the row; 1 where values have none of their own.
fn scale8(weights : ptr<storage, array<Pack>, read>, before : u32, k : u32) -> f32 {
  if (FORMAT < 3u) { return 1.0; }
  return bitcast<f32>(word(weights, params.scaleStart + ((before + k) >> 3u)));
}

// Values of weights times the power of two of their row; f16 and int8 are halves as they are. In the careful turn a scale
// may lie at an end of f32.
fn powered(w : Stored8, scale : f32, power : f32, careful : bool) -> mat2x4<f32> {
  let values = values8(w);
  if (FORMAT == 1u || FORMAT == 2u) { return values; }
  if (FORMAT == 0u) { return values * power; }
  if (careful) {
    let halves = halvesOf(scale);
    if (power < 0.0) { return (values * halves.x) * -power; }
    return ((values * halves.x) * power) * halves.y;
  }
  return values * (scale * power);
}

// The first eleven bits of each, rounded: by bits, since a compiler may take f32(f16(x)) for x.
fn leading4(v : vec4<f32>) -> vec4<f32> {
  return bitcast<vec4<f32>>((bitcast<vec4<u32>>(v) + vec4<u32>(0x1000u)) & vec4<u32>(0xffffe000u));
}

// Whether each is neither Inf nor NaN.
fn finite4(v : vec4<f32>) -> vec4<bool> {
  return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) < vec4<u32>(0x7f800000u);
}

// The first halves of values.
fn leading8(v : mat2x4<f32>) -> mat2x4<f32> { return mat2x4<f32>(leading4(v[0]), leading4(v[1])); }

// What those leave; of Inf and NaN it is NaN.
fn rest8(v : mat2x4<f32>) -> mat2x4<f32> { return mat2x4<f32>(v[0] - leading4(v[0]), v[1] - leading4(v[1])); }

// The bits of the first halves, cut off: what is left has the sign of the value.
fn cut4(v : vec4<f32>) -> vec4<f32> { return bitcast<vec4<f32>>(bitcast<vec4<u32>>(v) & vec4<u32>(0xffffe000u)); }

// A part of values as a half, which is zero, Inf or NaN only where the value is.
fn partOf4(part : vec4<f32>, v : vec4<f32>) -> vec4<f32> {
  let least = select(vec4<f32>(-0x1p-24f), vec4<f32>(0x1p-24f), v > vec4<f32>());
  let kept = select(part, least, (abs(part) < vec4<f32>(0x1p-24f)) & (v != vec4<f32>()));
  return select(v, kept, finite4(v));
}

// The first halves of values that, in a careful turn, are multiplied with any others: Inf times either half of a value is the
// same Inf, or NaN where the value is zero.
fn firstHalves8(v : mat2x4<f32>, careful : bool) -> mat2x4<f32> {
  if (!careful) { return leading8(v); }
  return mat2x4<f32>(partOf4(cut4(v[0]), v[0]), partOf4(cut4(v[1]), v[1]));
}

// What those leave, likewise.
fn secondHalves8(v : mat2x4<f32>, careful : bool) -> mat2x4<f32> {
  if (!careful) { return rest8(v); }
  return mat2x4<f32>(partOf4(v[0] - cut4(v[0]), v[0]), partOf4(v[1] - cut4(v[1]), v[1]));
}

// The only halves of values, likewise.
fn onlyHalves8(v : mat2x4<f32>, careful : bool) -> mat2x4<f32> {
  if (!careful) { return v; }
  return mat2x4<f32>(partOf4(v[0], v[0]), partOf4(v[1], v[1]));
}

// Eight values as halves.
fn packed8(v : mat2x4<f32>) -> vec4<u32> {
  return vec4<u32>(bitcast<vec2<u32>>(vec4<f16>(v[0])), bitcast<vec2<u32>>(vec4<f16>(v[1])));
}

// Eight halves of which the first or the last four, or all, or none lie within a row.
fn within8(halves : vec4<u32>, near : bool, far : bool) -> vec4<u32> {
  return select(vec4<u32>(), halves, vec4<bool>(near, near, far, far));
}

// The largest of magnitudes as bits, which are in their order; NaN is the largest.
fn mostOf(v : vec4<f32>) -> u32 {
  let bits = bitcast<vec4<u32>>(abs(v));
  return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

// The largest of what can be scaled: Inf and NaN stay what they are.
fn mostFinite(v : vec4<f32>) -> u32 { return mostOf(select(vec4<f32>(), v, finite4(v))); }

// The exponent of a row's largest magnitude as f32 has it, biased by 127.
fn exponentOf(most : u32) -> u32 { return most >> 23u; }

// A power of two that brings the largest magnitude of a row between 2^14 and 2^15, where f16 ends.
fn powerFor(exponent : u32) -> f32 { return bitcast<f32>(clamp(268u - exponent, 1u, 253u) << 23u); }

// That of a row of b. Where all its scales lie below f32's normal numbers they are taken without their second halves, 2^-74, and
// the power is negative.
fn powerOfB(most : u32) -> f32 {
  if (FORMAT > 2u && exponentOf(most) == 0u) { return -powerFor(exponentOf(bitcast<u32>(f32(most) * 0x1p-75f)) + SHIFT_B); }
  return powerFor(exponentOf(most) + SHIFT_B);
}

// value times 2^exponent, in two steps, so that a power beyond f32 is none of them.
fn timesPower(value : f32, exponent : i32) -> f32 {
  let first = clamp(exponent / 2, -126, 127);
  let second = clamp(exponent - first, -126, 127);
  return value * bitcast<f32>(u32(first + 127) << 23u) * bitcast<f32>(u32(second + 127) << 23u);
}

// A sum of products of powered rows, without the powers and with the scale of its column where that was left to the end.
fn restored(sum : f32, powerA : f32, powerB : f32, scale : f32) -> f32 {
  let bitsB = bitcast<u32>(powerB);
  let exponent = 254 - i32(bitcast<u32>(powerA) >> 23u) - i32((bitsB >> 23u) & 255u) - 74 * i32(bitsB >> 31u);
  if (FORMAT != 2u) { return timesPower(sum, exponent); }
  let halves = halvesOf(scale);
  return timesPower(sum * halves.x, exponent + i32(bitcast<u32>(halves.y) >> 23u) - 127);
}

// The largest magnitude of a unit of b, as bits: NaN is the largest.
fn mostOfB(w : Stored8, scale : f32, careful : bool) -> u32 {
  if (FORMAT > 2u) { return bitcast<u32>(scale) & 0x7fffffffu; }
  let values = values8(w);
  if (careful) { return max(mostFinite(values[0]), mostFinite(values[1])); }
  return max(mostOf(values[0]), mostOf(values[1]));
}

// The largest magnitude of a row of the tile, of what each of its units has left at `first`. NaN is the largest.
fn mostOfRow(first : u32, row : u32) -> u32 {
  var most = 0u;
  for (var i = 0u; i < UNITS; i += 1u) { most = max(most, tile[first + row * UNITS + i].x); }
  return most;
}

// Whether the power of ordinary rows keeps a row within f16, and well above its least.
fn isOrdinary(most : u32, shift : u32, least : u32, largest : u32) -> bool {
  let exponent = exponentOf(most) + shift;
  return most == 0u || (most >= 0x800000u && exponent >= least && exponent <= largest);
}

// The exponent of a power of two that brings the largest magnitude of a row between 2^14 and 2^15, biased by 127.
fn exponentFor(most : u32) -> u32 { return clamp(268u - exponentOf(most), 1u, 253u); }

// 2^exponent, biased by 127.
fn powerOf(exponent : u32) -> f32 { return bitcast<f32>(exponent << 23u); }
