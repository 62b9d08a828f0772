// c[m,n] = sum over k of a[m,k] * b[n,k], plus bias[n] where there is one, in f16: rows of a and of b are rounded to it, by powers
// of two of their own, products are summed in it along a tile, and the sums of tiles in f32.
// Grid    a workgroup covers 64 x 64 outputs, a thread 8 x 8 of them, in blocks of 4 x 4.
// Memory  as gemm/blocked.wgsl, tiles of halves: half a byte per multiply-add. The largest magnitudes of rows are found first.
// Order   k ascending in every thread: the same bits on every run.
// Edges   K is a multiple of 4. A row or a column with Inf or NaN is multiplied in f32. Rows and columns outside are clamped for
//         the loads and never stored; beyond K is zero.

enable f16;
requires unrestricted_pointer_parameters;

const THREADS_M : u32 = 8u;     // spec: threads along m
const THREADS_N : u32 = 8u;     // spec: threads along n
const TILE_K : u32 = 16u;       // spec: depth of one tile, a block of 4 x 4 per thread: 16 at most, or sums in f16 overflow
const FORMAT : u32 = 0u;        // spec: of b: 0 f32, 1 f16, 2 int8, 3 int4, 4 MXFP4, 5 the same by way of f16
const BF16 : bool = false;      // spec: what format 1 holds is bf16
const WIDE : bool = false;      // spec: a whole scale may leave f32 on its way: half of it at a time
const BIASED : bool = false;    // spec: add a bias per column
alias Pack = vec4<u32>;         // spec: one load of b: vec4<u32> for f32, u32 otherwise

const TILE_M : u32 = 8u * THREADS_M;
const TILE_N : u32 = 8u * THREADS_N;
const THREADS : u32 = THREADS_M * THREADS_N;
const GROUPS : u32 = TILE_K / 4u;
const RIGHT : u32 = 2u * THREADS_M * GROUPS;   // where parts of rows of b begin
const STRIDE_M : u32 = 2u * THREADS_M + 1u;   // fours of rows, padded against bank conflicts of the turned stores
const STRIDE_N : u32 = 2u * THREADS_N + 1u;

struct Params { numRows : u32, numCols : u32, depth : u32, scaleStart : u32, blockGroups : u32 }

@group(0) @binding(0) var<storage, read> a_MK : array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b_NK : array<Pack>;   // values, then from word scaleStart on the scales
@group(0) @binding(2) var<storage, read_write> c_MN : array<f32>;
@group(0) @binding(3) var<storage, read> bias_N : array<f32>;   // bound to a when absent
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> tileA : array<vec4<f16>, STRIDE_M * TILE_K>;
var<workgroup> tileB : array<vec4<f16>, STRIDE_N * TILE_K>;
// Largest magnitudes of parts of four rows, as bits: of a, then of b.
var<workgroup> parts : array<vec4<u32>, RIGHT + 2u * THREADS_N * GROUPS>;

// A scale as the product of two factors between it and 1, the second a power of two, for scales at the ends of f32. One
// below its normal numbers is a whole number of the least.
fn halvesOf(scale : f32) -> vec2<f32> {
  let bits = bitcast<u32>(scale);
  let exponent = i32((bits >> 23u) & 255u);
  if (exponent == 0) {
    let steps = f32(bits & 0x7fffffu) * 0x1p-75f;
    return vec2<f32>(select(steps, -steps, (bits >> 31u) == 1u), 0x1p-74f);
  }
  let half = (exponent - 127) / 2;
  return vec2<f32>(bitcast<f32>(bits - (bitcast<u32>(half) << 23u)), bitcast<f32>(u32(127 + half) << 23u));
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

// Two values of 16 bits: f16, or bf16, which is the upper half of an f32.
fn halves2(word : u32) -> vec2<f32> {
  if (BF16) { return bitcast<vec2<f32>>(vec2<u32>(word << 16u, word & 0xffff0000u)); }
  return unpack2x16float(word);
}

// Four values of 16 bits.
fn halves4(low : u32, high : u32) -> vec4<f32> { return vec4<f32>(halves2(low), halves2(high)); }

// Four signed bytes.
fn bytes4(word : u32) -> vec4<f32> { return vec4<f32>(unpack4xI8(word)); }

// Four rows of weights, a group of four along k of each, as they are stored.
struct Stored { x : vec4<u32>, y : vec4<u32>, z : vec4<u32>, w : vec4<u32> }

// A group of four along k by its number: the words that hold it, of nibbles the word whose half it is.
fn stored4(weights : ptr<storage, array<Pack>, read>, group : u32) -> vec4<u32> {
  if (FORMAT == 0u) { return vec4<u32>((*weights)[group]); }
  if (FORMAT == 1u) {
    return vec4<u32>(vec4<u32>((*weights)[2u * group]).x, vec4<u32>((*weights)[2u * group + 1u]).x, 0u, 0u);
  }
  if (FORMAT == 2u) { return vec4<u32>((*weights)[group]); }
  return vec4<u32>((*weights)[group >> 1u]);
}

// A group of four along k of four rows, by the group that each row begins with.
fn storedRows(weights : ptr<storage, array<Pack>, read>, rows : vec4<u32>, k : u32) -> Stored {
  return Stored(stored4(weights, rows.x + k), stored4(weights, rows.y + k),
                stored4(weights, rows.z + k), stored4(weights, rows.w + k));
}

// What four stored values are, not yet scaled; `half` of a word of nibbles, 0 or 1. Those of e2m1 may lack 2^14, which the held
// scales have.
fn valuesOf(words : vec4<u32>, half : u32) -> vec4<f32> {
  if (FORMAT == 0u) { return bitcast<vec4<f32>>(words); }
  if (FORMAT == 1u) { return halves4(words.x, words.y); }
  if (FORMAT == 2u) { return bytes4(words.x); }
  if (FORMAT == 5u) { return small4(words.x >> (16u * half)); }
  return nibbles4(words.x >> (16u * half));
}

// Words where the scales of four rows begin; `rows` counts groups of four along k, `numbers` rows.
fn firstScales(rows : vec4<u32>, numbers : vec4<u32>) -> vec4<u32> {
  if (FORMAT == 2u) { return numbers + vec4<u32>(params.scaleStart); }
  return (rows >> vec4<u32>(3u)) + vec4<u32>(params.scaleStart);
}

// Scales of four rows in the tile at group `k`, which lies in one block of scales, from where they begin.
fn scalesOfRows(weights : ptr<storage, array<Pack>, read>, first : vec4<u32>, k : u32) -> vec4<f32> {
  var offset = k >> 3u;
  if (FORMAT == 2u) { offset = 0u; }
  return bitcast<vec4<f32>>(vec4<u32>(
    vec4<u32>((*weights)[first.x + offset]).x, vec4<u32>((*weights)[first.y + offset]).x,
    vec4<u32>((*weights)[first.z + offset]).x, vec4<u32>((*weights)[first.w + offset]).x));
}

// The half of a scale that goes with a weight; all of it where products stay within f32.
fn heldScales(scales : vec4<f32>) -> vec4<f32> {
  var held = scales;
  if (WIDE) {
    held = vec4<f32>(halvesOf(scales.x).x, halvesOf(scales.y).x, halvesOf(scales.z).x, halvesOf(scales.w).x);
  }
  if (FORMAT == 5u) { held *= 0x1p14f; }
  return held;
}

// The half that is left.
fn leftScales(scales : vec4<f32>) -> vec4<f32> {
  return vec4<f32>(halvesOf(scales.x).y, halvesOf(scales.y).y, halvesOf(scales.z).y, halvesOf(scales.w).y);
}

// Four numbers from the first on.
fn fourFrom(first : u32) -> vec4<u32> { return vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u); }

// The largest of magnitudes as bits, which are in their order; NaN is the largest.
fn mostOf(v : vec4<f32>) -> u32 {
  let bits = bitcast<vec4<u32>>(abs(v));
  return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

// The exponent of a row's largest magnitude as f32 has it, biased by 127.
fn exponentOf(most : u32) -> u32 { return most >> 23u; }

// value times 2^exponent, in two steps, so that a power beyond f32 is none of them.
fn timesPower(value : f32, exponent : i32) -> f32 {
  let first = clamp(exponent / 2, -126, 127);
  let second = clamp(exponent - first, -126, 127);
  return value * bitcast<f32>(u32(first + 127) << 23u) * bitcast<f32>(u32(second + 127) << 23u);
}

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

// A group of four along k of four rows of a.
fn rowsOfA(rows : vec4<u32>, k : u32) -> mat4x4<f32> {
  return mat4x4<f32>(a_MK[rows.x + k], a_MK[rows.y + k], a_MK[rows.z + k], a_MK[rows.w + k]);
}

// Where the scales of a column begin, four times.
fn scalesOfColumn(column : u32) -> vec4<u32> {
  return firstScales(vec4<u32>(column * (params.depth / 4u)), vec4<u32>(column));
}

// A product that f16 does not hold; int8 is not yet scaled.
fn endlessProduct(row : u32, column : u32) -> f32 {
  let depth4 = params.depth / 4u;
  var sum = vec4<f32>();
  for (var i = 0u; i < depth4; i += 1u) {
    var a = a_MK[row * depth4 + i];
    var b = valuesOf(stored4(&b_NK, column * depth4 + i), i & 1u);
    if (FORMAT > 2u) {
      let scales = scalesOfRows(&b_NK, scalesOfColumn(column), i);
      b *= heldScales(scales).x;
      if (WIDE) { a *= leftScales(scales).x; }
    }
    sum = fma(a, b, sum);
  }
  return (sum.x + sum.y) + (sum.z + sum.w);
}

// Four columns of a row of c from their sums and the largest magnitudes of both operands; int8 gets its scale here.
fn storeProducts(row : u32, column : u32, sums : vec4<f32>, left : u32, right : vec4<u32>) {
  if (row >= params.numRows) { return; }
  for (var i = 0u; i < 4u; i += 1u) {
    if (column + i >= params.numCols) { continue; }
    var scale = 1.0;
    if (FORMAT == 2u) { scale = scalesOfRows(&b_NK, scalesOfColumn(column + i), 0u).x; }
    var value = withoutPowers(sums[i], exponentOfLeft(left) + exponentOfRight(right[i]), scale);
    if (isEndless(left, right[i])) { value = endlessProduct(row, column + i) * scale; }
    if (BIASED) { value += bias_N[column + i]; }
    c_MN[row * params.numCols + column + i] = value;
  }
}

// Four rows of four columns, by their fours within the tile.
fn storeFourRows(group : vec2<u32>, down : u32, along : u32, sums : mat4x4<f32>) {
  let left = largestOf(down * GROUPS);
  let right = largestOf(RIGHT + along * GROUPS);
  let row = group.y * TILE_M + 4u * down;
  let column = group.x * TILE_N + 4u * along;
  storeProducts(row, column, sums[0], left.x, right);
  storeProducts(row + 1u, column, sums[1], left.y, right);
  storeProducts(row + 2u, column, sums[2], left.z, right);
  storeProducts(row + 3u, column, sums[3], left.w, right);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let depth4 = params.depth / 4u;
  // The four rows and the group along k that the thread fetches, and where they go.
  let k = lane % GROUPS;
  let four = lane / GROUPS;
  let rowsA = min(fourFrom(group.y * TILE_M + 4u * four), vec4<u32>(params.numRows - 1u)) * depth4;
  let colsB = min(fourFrom(group.x * TILE_N + 4u * four), vec4<u32>(params.numCols - 1u));
  let rowsB = colsB * depth4;
  let scalesB = firstScales(rowsB, colsB);
  let putA = 4u * k * STRIDE_M + four;
  let putB = 4u * k * STRIDE_N + four;
  var most = vec4<u32>();
  // As bits: NaN is the largest.
  for (var i = k; i < depth4; i += GROUPS) { most = max(most, mostOfFour(rowsOfA(rowsA, i))); }
  parts[lane] = most;
  parts[RIGHT + lane] = mostOfWeights(&b_NK, rowsB, scalesB, k);
  workgroupBarrier();
  let left = largestOf(four * GROUPS);
  let right = largestOf(RIGHT + four * GROUPS);
  let powersA = powersOf(vec4<i32>(exponentOfLeft(left.x), exponentOfLeft(left.y), exponentOfLeft(left.z), exponentOfLeft(left.w)));
  let exponentsB = vec4<i32>(exponentOfRight(right.x), exponentOfRight(right.y), exponentOfRight(right.z), exponentOfRight(right.w));
  // The blocks that it owns: 4 x 4 each, THREADS_M and THREADS_N blocks apart.
  let tm = lane / THREADS_N;
  let tn = lane % THREADS_N;
  var totals : Totals;
  var scales = vec4<f32>(1.0);
  var at = min(k, depth4 - 1u);
  var a = rowsOfA(rowsA, at);
  var b = storedRows(&b_NK, rowsB, at);
  if (FORMAT > 2u) { scales = scalesOfRows(&b_NK, scalesB, 0u); }
  for (var first = 0u; first < depth4; first += GROUPS) {
    let inside = vec4<bool>(first + k < depth4);
    workgroupBarrier();
    let turnedA = roundedRows(a, powersA);
    tileA[putA] = select(vec4<f16>(), turnedA[0], inside);
    tileA[putA + STRIDE_M] = select(vec4<f16>(), turnedA[1], inside);
    tileA[putA + 2u * STRIDE_M] = select(vec4<f16>(), turnedA[2], inside);
    tileA[putA + 3u * STRIDE_M] = select(vec4<f16>(), turnedA[3], inside);
    let turnedB = roundedWeights(b, k & 1u, factorsOf(scales, exponentsB));
    tileB[putB] = select(vec4<f16>(), turnedB[0], inside);
    tileB[putB + STRIDE_N] = select(vec4<f16>(), turnedB[1], inside);
    tileB[putB + 2u * STRIDE_N] = select(vec4<f16>(), turnedB[2], inside);
    tileB[putB + 3u * STRIDE_N] = select(vec4<f16>(), turnedB[3], inside);
    workgroupBarrier();
    // The next tile is on its way while this one is multiplied; after the last it is the same once more.
    let next = min(first + GROUPS, depth4 - 1u);
    at = min(next + k, depth4 - 1u);
    a = rowsOfA(rowsA, at);
    b = storedRows(&b_NK, rowsB, at);
    if (FORMAT > 2u) { scales = scalesOfRows(&b_NK, scalesB, next); }
    // By name: a variable that is only declared keeps, in a loop, what it had (Dawn).
    var sums = HalfSums();
    for (var i = 0u; i < TILE_K; i += 1u) {
      sums = multiplyHalf(sums, tileA[i * STRIDE_M + tm], tileA[i * STRIDE_M + tm + THREADS_M],
                          tileB[i * STRIDE_N + tn], tileB[i * STRIDE_N + tn + THREADS_N]);
    }
    totals = withTile(totals, sums);
  }
  storeFourRows(group.xy, tm, tn, totals.s00);
  storeFourRows(group.xy, tm, tn + THREADS_N, totals.s01);
  storeFourRows(group.xy, tm + THREADS_M, tn, totals.s10);
  storeFourRows(group.xy, tm + THREADS_M, tn + THREADS_N, totals.s11);
}
