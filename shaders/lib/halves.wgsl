// Products in f16: rows of both operands by powers of two that keep sums of 16 terms within it, sums of tiles in f32.

// Largest magnitudes of four rows, as bits: NaN is the largest.
fn mostOfFour(v : mat4x4<f32>) -> vec4<u32> {
  return vec4<u32>(mostOf(v[0]), mostOf(v[1]), mostOf(v[2]), mostOf(v[3]));
}

// The same of four rows of weights, of the groups that the thread fetches; of values in few bits, of their scales. int8 needs none.
// NaN is the largest.
fn mostOfWeights(weights : ptr<storage, array<Pack>, read>, rows : vec4<u32>, scales : vec4<u32>, k : u32) -> vec4<u32> {
  var most = vec4<u32>();
  if (FORMAT == 2u) { return most; }
  let step = select(1u, 8u, FORMAT > 2u);   // a block of scales is eight groups
  for (var at = step * k; at < params.depth / 4u; at += step * GROUPS) {
    if (FORMAT > 2u) {
      most = max(most, bitcast<vec4<u32>>(scalesOfRows(weights, scales, at)) & vec4<u32>(0x7fffffffu));
    } else {
      let v = storedRows(weights, rows, at);
      most = max(most, mostOfFour(mat4x4<f32>(valuesOf(v.x, 0u), valuesOf(v.y, 0u), valuesOf(v.z, 0u), valuesOf(v.w, 0u))));
    }
  }
  return most;
}

// Of four rows whose parts lie side by side from `first` on. NaN is the largest.
fn largestOf(first : u32) -> vec4<u32> {
  var most = vec4<u32>();
  for (var i = 0u; i < GROUPS; i += 1u) { most = max(most, parts[first + i]); }
  return most;
}

// The exponent of the power of two that brings the largest of a row below 2^4, and no further than half of it.
fn exponentOfLeft(most : u32) -> i32 { return min(130 - i32(exponentOf(most)), 126); }

// The same for a row of weights, below 2^7. Values in few bits are up to 2^3 times their scale, which may be less than f32's
// normal numbers; int8 is below it as it is.
fn exponentOfRight(most : u32) -> i32 {
  if (FORMAT == 2u) { return 0; }
  if (FORMAT < 2u) { return min(133 - i32(exponentOf(most)), 126); }
  if (WIDE && most > 0u && most < 0x800000u) { return 152 - i32(firstLeadingBit(most)); }
  return 130 - i32(exponentOf(most));
}

// Powers of two by their exponents.
fn powersOf(exponents : vec4<i32>) -> vec4<f32> { return bitcast<vec4<f32>>(vec4<u32>(exponents + vec4<i32>(127)) << vec4<u32>(23u)); }

// What four rows of weights are multiplied with before they are rounded.
fn factorsOf(scales : vec4<f32>, exponents : vec4<i32>) -> vec4<f32> {
  if (FORMAT < 3u) { return powersOf(exponents); }
  let near = min(exponents, vec4<i32>(126));
  let factors = heldScales(scales) * powersOf(near);
  if (!WIDE) { return factors; }
  return factors * leftScales(scales) * powersOf(exponents - near);
}

// A sum of products of powered rows without the powers, and with the scale of its column where that was left to the end.
fn withoutPowers(sum : f32, exponents : i32, scale : f32) -> f32 {
  if (FORMAT != 2u) { return timesPower(sum, -exponents); }
  let halves = halvesOf(scale);
  return timesPower(sum * halves.x, i32(bitcast<u32>(halves.y) >> 23u) - 127 - exponents);
}

// Four columns of f32 by four factors, turned and rounded: column i is k = i.
fn roundedRows(v : mat4x4<f32>, factors : vec4<f32>) -> mat4x4<f16> {
  let t = transpose(mat4x4<f32>(v[0] * factors.x, v[1] * factors.y, v[2] * factors.z, v[3] * factors.w));
  return mat4x4<f16>(vec4<f16>(t[0]), vec4<f16>(t[1]), vec4<f16>(t[2]), vec4<f16>(t[3]));
}

// Four rows of weights; `half` of a word of nibbles, 0 or 1.
fn roundedWeights(rows : Stored, half : u32, factors : vec4<f32>) -> mat4x4<f16> {
  return roundedRows(mat4x4<f32>(valuesOf(rows.x, half), valuesOf(rows.y, half), valuesOf(rows.z, half), valuesOf(rows.w, half)),
                     factors);
}

// Sums of a tile in f16, 4 x 4 each: rows near and far by columns near and far.
struct HalfSums { s00 : mat4x4<f16>, s01 : mat4x4<f16>, s10 : mat4x4<f16>, s11 : mat4x4<f16> }

// Sums of all tiles.
struct Totals { s00 : mat4x4<f32>, s01 : mat4x4<f32>, s10 : mat4x4<f32>, s11 : mat4x4<f32> }

// Four rows of sums, and the product of four rows with four columns more.
fn timesHalf(sums : mat4x4<f16>, a : vec4<f16>, b : vec4<f16>) -> mat4x4<f16> {
  return mat4x4<f16>(fma(a.xxxx, b, sums[0]), fma(a.yyyy, b, sums[1]), fma(a.zzzz, b, sums[2]), fma(a.wwww, b, sums[3]));
}

// One k of the tile: two fours of rows by two fours of columns.
fn multiplyHalf(sums : HalfSums, a0 : vec4<f16>, a1 : vec4<f16>, b0 : vec4<f16>, b1 : vec4<f16>) -> HalfSums {
  return HalfSums(timesHalf(sums.s00, a0, b0), timesHalf(sums.s01, a0, b1), timesHalf(sums.s10, a1, b0), timesHalf(sums.s11, a1, b1));
}

// Totals of four rows, and a tile's sums more.
fn plusHalf(total : mat4x4<f32>, sums : mat4x4<f16>) -> mat4x4<f32> {
  return mat4x4<f32>(total[0] + vec4<f32>(sums[0]), total[1] + vec4<f32>(sums[1]),
                     total[2] + vec4<f32>(sums[2]), total[3] + vec4<f32>(sums[3]));
}

// Totals, and the sums of a tile more.
fn withTile(totals : Totals, sums : HalfSums) -> Totals {
  return Totals(plusHalf(totals.s00, sums.s00), plusHalf(totals.s01, sums.s01), plusHalf(totals.s10, sums.s10),
                plusHalf(totals.s11, sums.s11));
}

// Whether f16 does not hold them: Inf or NaN is the largest of one, as bits.
fn isEndless(left : u32, right : u32) -> bool { return max(left, right) >= 0x7f800000u; }
