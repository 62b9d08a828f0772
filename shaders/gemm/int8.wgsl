// c[m,n] = sum over k of a[m,k] * b[n,k], plus bias[n] where there is one, with both operands in int8 and sums in i32: a row of
// a is rounded to 127 steps of its largest magnitude, so c may be off by half a step times the sum of |b| of its column.
// Grid    a workgroup covers 64 x 64 outputs, a thread 8 x 8 of them, in blocks of 4 x 4.
// Memory  words of four values along k lie k-major in workgroup storage, four rows to a vec4. The next tile is fetched as it
//         is stored while this one is multiplied; rows of a are rounded when they are put.
// Order   sums are whole numbers: the same bits on every run and in any order.
// Edges   K is a multiple of 4 and at most 133,144, so that sums stay in 32 bits. A row of a with Inf or NaN, which int8 does
//         not hold, is multiplied in f32. Rows and columns outside are clamped for the loads and never stored; beyond K is zero.

const BIASED : bool = false;    // spec: add a bias per column
const THREADS_M : u32 = 8u;     // spec: threads along m
const THREADS_N : u32 = 8u;     // spec: threads along n
const WORDS : u32 = 8u;         // spec: depth of one tile in words of four values

const THREADS : u32 = THREADS_M * THREADS_N;
const FOURS_M : u32 = 2u * THREADS_M;    // fours of rows of a tile
const FOURS_N : u32 = 2u * THREADS_N;
const STRIDE_M : u32 = FOURS_M + 1u;     // padded against bank conflicts
const STRIDE_N : u32 = FOURS_N + 1u;
const TILE_M : u32 = 4u * FOURS_M;
const TILE_N : u32 = 4u * FOURS_N;
const AT_ONCE : u32 = THREADS / WORDS;   // fours of rows that are fetched in a turn: half of them

struct Params { numRows : u32, numCols : u32, depth : u32, scaleStart : u32, blockGroups : u32 }

@group(0) @binding(0) var<storage, read> a_MK : array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b_NK : array<u32>;    // values, then from word scaleStart on the scales
@group(0) @binding(2) var<storage, read_write> c_MN : array<f32>;
@group(0) @binding(3) var<storage, read> bias_N : array<f32>;   // bound to a when absent
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> tileA : array<vec4<u32>, WORDS * STRIDE_M>;
var<workgroup> tileB : array<vec4<u32>, WORDS * STRIDE_N>;
var<workgroup> parts : array<u32, TILE_M * WORDS>;   // the largest magnitudes of parts of rows, as bits
var<workgroup> largest : array<u32, TILE_M>;         // and of rows
var<workgroup> toSteps : array<vec2<f32>, TILE_M>;   // what makes steps of a row's values, in two factors

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

// The largest of magnitudes as bits, which are in their order; NaN is the largest.
fn mostOf(v : vec4<f32>) -> u32 {
  let bits = bitcast<vec4<u32>>(abs(v));
  return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

// The exponent of a row's largest magnitude as f32 has it, biased by 127.
fn exponentOf(most : u32) -> u32 { return most >> 23u; }

// The exponent of a power of two that brings the largest magnitude of a row between 2^14 and 2^15, biased by 127.
fn exponentFor(most : u32) -> u32 { return clamp(268u - exponentOf(most), 1u, 253u); }

// 2^exponent, biased by 127.
fn powerOf(exponent : u32) -> f32 { return bitcast<f32>(exponent << 23u); }

// value times 2^exponent, in two steps, so that a power beyond f32 is none of them.
fn timesPower(value : f32, exponent : i32) -> f32 {
  let first = clamp(exponent / 2, -126, 127);
  let second = clamp(exponent - first, -126, 127);
  return value * bitcast<f32>(u32(first + 127) << 23u) * bitcast<f32>(u32(second + 127) << 23u);
}

// Four signed bytes.
fn bytes4(word : u32) -> vec4<f32> { return vec4<f32>(unpack4xI8(word)); }

// The largest magnitude of a row times its power; 1 for a row of zeros.
fn poweredMost(most : u32) -> f32 { return select(bitcast<f32>(most) * powerOf(exponentFor(most)), 1.0, most == 0u); }

// Four values of a row of a in 127 steps of its largest magnitude.
fn stepsOf(v : vec4<f32>, factors : vec2<f32>) -> u32 {
  return pack4xI8(vec4<i32>(round(v * factors.x * factors.y)));
}

// A product from its sum of steps, the largest magnitude of its row and the scale of its column.
fn fromSteps(sum : i32, most : u32, scale : f32) -> f32 {
  let halves = halvesOf(scale);
  let exponent = 127 - i32(exponentFor(most)) + i32(bitcast<u32>(halves.y) >> 23u) - 127;
  return timesPower(f32(sum) * (poweredMost(most) / 127.0) * halves.x, exponent);
}

// Groups of four before a row of a, and words before one of b.
fn beforeRow(row : u32) -> u32 { return min(row, params.numRows - 1u) * (params.depth / 4u); }

fn beforeColumn(column : u32) -> u32 { return min(column, params.numCols - 1u) * (params.depth / 4u); }

// Four rows of a, or columns of b, of which a thread fetches a word each.
struct FourRows { x : vec4<f32>, y : vec4<f32>, z : vec4<f32>, w : vec4<f32> }

fn fetchedA(row : u32, at : u32) -> FourRows {
  return FourRows(a_MK[beforeRow(row) + at], a_MK[beforeRow(row + 1u) + at], a_MK[beforeRow(row + 2u) + at], a_MK[beforeRow(row + 3u) + at]);
}

fn fetchedB(column : u32, at : u32) -> vec4<u32> {
  return vec4<u32>(b_NK[beforeColumn(column) + at], b_NK[beforeColumn(column + 1u) + at],
                   b_NK[beforeColumn(column + 2u) + at], b_NK[beforeColumn(column + 3u) + at]);
}

// A word each of four rows of the tile, from `row` on.
fn steps4(v : FourRows, row : u32) -> vec4<u32> {
  return vec4<u32>(stepsOf(v.x, toSteps[row]), stepsOf(v.y, toSteps[row + 1u]),
                   stepsOf(v.z, toSteps[row + 2u]), stepsOf(v.w, toSteps[row + 3u]));
}

// Sums of four rows by four columns.
struct WholeSums { x : vec4<i32>, y : vec4<i32>, z : vec4<i32>, w : vec4<i32> }

// Products of four bytes each, summed.
fn dotsOfBytes(a : u32, b : vec4<u32>) -> vec4<i32> {
  return vec4<i32>(dot4I8Packed(a, b.x), dot4I8Packed(a, b.y), dot4I8Packed(a, b.z), dot4I8Packed(a, b.w));
}

// Sums, and four rows times four columns more.
fn withDots(sums : WholeSums, a : vec4<u32>, b : vec4<u32>) -> WholeSums {
  return WholeSums(sums.x + dotsOfBytes(a.x, b), sums.y + dotsOfBytes(a.y, b), sums.z + dotsOfBytes(a.z, b), sums.w + dotsOfBytes(a.w, b));
}

// A product of a row that int8 does not hold.
fn exactProduct(row : u32, column : u32, scale : f32) -> f32 {
  var sum = vec4<f32>();
  for (var i = 0u; i < params.depth / 4u; i += 1u) {
    sum = fma(a_MK[beforeRow(row) + i], bytes4(b_NK[beforeColumn(column) + i]) * scale, sum);
  }
  return (sum.x + sum.y) + (sum.z + sum.w);
}

// Four columns of a row from their sums, where they lie within the result.
fn storeSums(row : u32, column : u32, sums : vec4<i32>, most : u32) {
  if (row >= params.numRows) { return; }
  for (var i = 0u; i < 4u; i += 1u) {
    if (column + i >= params.numCols) { continue; }
    let scale = bitcast<f32>(b_NK[params.scaleStart + column + i]);
    var value = fromSteps(sums[i], most, scale);
    if (most >= 0x7f800000u) { value = exactProduct(row, column + i, scale); }
    if (BIASED) { value += bias_N[column + i]; }
    c_MN[row * params.numCols + column + i] = value;
  }
}

// Four rows of four columns, from a row of the tile on.
fn storeBlock(firstRow : u32, own : u32, column : u32, sums : WholeSums) {
  storeSums(firstRow + own, column, sums.x, largest[own]);
  storeSums(firstRow + own + 1u, column, sums.y, largest[own + 1u]);
  storeSums(firstRow + own + 2u, column, sums.z, largest[own + 2u]);
  storeSums(firstRow + own + 3u, column, sums.w, largest[own + 3u]);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let words = params.depth / 4u;
  let firstRow = group.y * TILE_M;
  let firstCol = group.x * TILE_N;
  let down = lane / THREADS_N;
  let along = lane % THREADS_N;
  // The word of a tile, and the first of its fours of rows, that the thread fetches.
  let k = lane % WORDS;
  let own = lane / WORDS;
  // The largest magnitude of each row, by WORDS lanes side by side.
  for (var row = own; row < TILE_M; row += AT_ONCE) {
    var most = 0u;
    for (var at = k; at < words; at += WORDS) { most = max(most, mostOf(a_MK[beforeRow(firstRow + row) + at])); }
    parts[row * WORDS + k] = most;
  }
  workgroupBarrier();
  for (var row = lane; row < TILE_M; row += THREADS) {
    var most = 0u;
    for (var i = 0u; i < WORDS; i += 1u) { most = max(most, parts[row * WORDS + i]); }
    largest[row] = most;
    toSteps[row] = vec2<f32>(powerOf(exponentFor(most)), 127.0 / poweredMost(most));
  }
  var a0 = fetchedA(firstRow + 4u * own, min(k, words - 1u));
  var a1 = fetchedA(firstRow + 4u * (own + AT_ONCE), min(k, words - 1u));
  var b0 = fetchedB(firstCol + 4u * own, min(k, words - 1u));
  var b1 = fetchedB(firstCol + 4u * (own + AT_ONCE), min(k, words - 1u));
  var nearNear : WholeSums;
  var nearFar : WholeSums;
  var farNear : WholeSums;
  var farFar : WholeSums;
  for (var first = 0u; first < words; first += WORDS) {
    let inside = vec4<bool>(first + k < words);
    workgroupBarrier();
    tileA[k * STRIDE_M + own] = select(vec4<u32>(), steps4(a0, 4u * own), inside);
    tileA[k * STRIDE_M + own + AT_ONCE] = select(vec4<u32>(), steps4(a1, 4u * (own + AT_ONCE)), inside);
    tileB[k * STRIDE_N + own] = b0;
    tileB[k * STRIDE_N + own + AT_ONCE] = b1;
    workgroupBarrier();
    // The next tile is on its way while this one is multiplied; after the last it is its last word once more.
    let next = min(first + WORDS + k, words - 1u);
    a0 = fetchedA(firstRow + 4u * own, next);
    a1 = fetchedA(firstRow + 4u * (own + AT_ONCE), next);
    b0 = fetchedB(firstCol + 4u * own, next);
    b1 = fetchedB(firstCol + 4u * (own + AT_ONCE), next);
    for (var i = 0u; i < WORDS; i += 1u) {
      let aNear = tileA[i * STRIDE_M + down];
      let aFar = tileA[i * STRIDE_M + down + THREADS_M];
      let bNear = tileB[i * STRIDE_N + along];
      let bFar = tileB[i * STRIDE_N + along + THREADS_N];
      nearNear = withDots(nearNear, aNear, bNear);
      nearFar = withDots(nearFar, aNear, bFar);
      farNear = withDots(farNear, aFar, bNear);
      farFar = withDots(farFar, aFar, bFar);
    }
  }
  storeBlock(firstRow, 4u * down, firstCol + 4u * along, nearNear);
  storeBlock(firstRow, 4u * down, firstCol + 4u * (along + THREADS_N), nearFar);
  storeBlock(firstRow, 4u * (down + THREADS_M), firstCol + 4u * along, farNear);
  storeBlock(firstRow, 4u * (down + THREADS_M), firstCol + 4u * (along + THREADS_N), farFar);
}
