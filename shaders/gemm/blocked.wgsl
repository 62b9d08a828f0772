// c[m,n] = sum over k of a[m,k] * b[n,k], plus bias[n] where there is one.
// Grid    a workgroup covers TILE_M x TILE_N outputs; a thread owns REG_M x REG_N of them, in blocks of 4 x 4.
// Memory  tiles lie k-major in workgroup storage, so that a thread reads its operands of one k by vec4: a byte per
//         multiply-add with 8 x 8. A thread fetches a block of 4 rows x 4 k of each operand by vec4, as it is stored, while
//         the tile before is multiplied (AHEAD), and turns it in registers.
// Order   k ascending in every thread: the same bits on every run.
// Edges   K is a multiple of 4. Rows and columns outside are clamped for the loads and never stored; what lies beyond K
//         becomes zero when it is put into the tile: asked at the load, that would have to be waited for.

requires unrestricted_pointer_parameters;

const THREADS_M : u32 = 8u;     // spec: threads along m
const THREADS_N : u32 = 8u;     // spec: threads along n
const REG_M : u32 = 8u;         // spec: rows per thread: 4 or 8
const REG_N : u32 = 8u;         // spec: columns per thread: 4 or 8
const TILE_K : u32 = 16u;       // spec: depth of one tile: a block of 4 x 4 per thread at most
const AHEAD : bool = true;      // spec: the next tile is fetched while this one is multiplied, which takes registers
const OPAQUE : bool = false;    // spec: for compilers that unroll what then spills: the loop over k has no known end
const FORMAT : u32 = 0u;        // spec: of b: 0 f32, 1 f16, 2 int8, 3 int4, 4 MXFP4, 5 the same by way of f16
const BF16 : bool = false;      // spec: what format 1 holds is bf16
const WIDE : bool = false;      // spec: products with a whole scale may leave f32: half of it at a time
const BIASED : bool = false;    // spec: add a bias per column
alias Pack = vec4<u32>;         // spec: one load of b: vec4<u32> for f32, u32 otherwise

const TILE_M : u32 = THREADS_M * REG_M;
const TILE_N : u32 = THREADS_N * REG_N;
const THREADS : u32 = THREADS_M * THREADS_N;
const GROUPS : u32 = TILE_K / 4u;
const BLOCKS_M : u32 = TILE_M / 4u;
const BLOCKS_N : u32 = TILE_N / 4u;
// From a thread's near four rows or columns to its far ones.
const FAR_M : u32 = (REG_M / 4u - 1u) * THREADS_M;
const FAR_N : u32 = (REG_N / 4u - 1u) * THREADS_N;
const BEGINS_HELD : bool = FORMAT > 0u;   // where each of four rows begins is held: fetched values of f32 fill the registers
const STRIDE_M : u32 = BLOCKS_M + 1u;   // padded against bank conflicts of the turned stores
const STRIDE_N : u32 = BLOCKS_N + 1u;

struct Params { numRows : u32, numCols : u32, depth : u32, scaleStart : u32, blockGroups : u32 }

@group(0) @binding(0) var<storage, read> a_MK : array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b_NK : array<Pack>;   // values, then from word scaleStart on the scales
@group(0) @binding(2) var<storage, read_write> c_MN : array<f32>;
@group(0) @binding(3) var<storage, read> bias_N : array<f32>;   // bound to a when absent
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> tileA : array<vec4<f32>, STRIDE_M * TILE_K>;
var<workgroup> tileB : array<vec4<f32>, STRIDE_N * TILE_K>;

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

// The groups at `k` of four rows of weights, one below the other: by where each begins, or, where registers are short of that,
// by where the first and the last of all begin. What is computed of rows beyond the last is not stored.
fn groupsAt(rows : vec4<u32>, first : u32, last : u32, k : u32) -> vec4<u32> {
  if (BEGINS_HELD) { return rows + k; }
  return min(vec4<u32>(first + k) + vec4<u32>(0u, 1u, 2u, 3u) * (params.depth / 4u), vec4<u32>(last + k));
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

// Four rows of weights turned: column i is k = i. int8 is scaled at the end, unless its products may leave f32.
fn turned(rows : Stored, half : u32, scales : vec4<f32>) -> mat4x4<f32> {
  let x = valuesOf(rows.x, half);
  let y = valuesOf(rows.y, half);
  let z = valuesOf(rows.z, half);
  let w = valuesOf(rows.w, half);
  if (FORMAT < 2u || (FORMAT == 2u && !WIDE)) { return transpose(mat4x4<f32>(x, y, z, w)); }
  let held = heldScales(scales);
  return transpose(mat4x4<f32>(x * held.x, y * held.y, z * held.z, w * held.w));
}

// Four rows of sums, and the product of four rows with four columns more.
fn times(sums : mat4x4<f32>, a : vec4<f32>, b : vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(fma(a.xxxx, b, sums[0]), fma(a.yyyy, b, sums[1]), fma(a.zzzz, b, sums[2]), fma(a.wwww, b, sums[3]));
}

// The same where products with a whole scale may leave f32: a takes the half that b lacks.
fn timesWide(sums : mat4x4<f32>, a : vec4<f32>, left : vec4<f32>, b : vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(fma(a.xxxx * left, b, sums[0]), fma(a.yyyy * left, b, sums[1]),
                     fma(a.zzzz * left, b, sums[2]), fma(a.wwww * left, b, sums[3]));
}


// A group of four along k of four rows of a.
fn rowsOfA(rows : vec4<u32>, k : u32) -> mat4x4<f32> {
  return mat4x4<f32>(a_MK[rows.x + k], a_MK[rows.y + k], a_MK[rows.z + k], a_MK[rows.w + k]);
}

// Four numbers from the first on.
fn fourFrom(first : u32) -> vec4<u32> { return vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u); }

// c[row, col] from its sum; int8 gets its scale here.
fn storeSum(row : u32, col : u32, sum : f32) {
  if (row >= params.numRows || col >= params.numCols) { return; }
  var scale = 1.0;
  if (FORMAT == 2u && !WIDE) { scale = scalesOfRows(&b_NK, firstScales(vec4<u32>(), vec4<u32>(col)), 0u).x; }
  var value = sum * scale;
  if (BIASED) { value += bias_N[col]; }
  c_MN[row * params.numCols + col] = value;
}

// Two rows of each thread, the first of the first thread at `row`: through workgroup storage, so that lanes side by side
// store columns side by side.
fn storeTwoOfC(row : u32, col : u32, lane : u32, near : mat2x4<f32>, far : mat2x4<f32>) {
  let put = 2u * (lane / THREADS_N) * THREADS_N + lane % THREADS_N;
  workgroupBarrier();
  tileA[put] = near[0];
  tileA[put + THREADS_N] = near[1];
  if (REG_N > 4u) {
    tileB[put] = far[0];
    tileB[put + THREADS_N] = far[1];
  }
  workgroupBarrier();
  for (var i = lane; i < THREADS * 8u; i += THREADS) {
    let half = i / (4u * THREADS_N);
    let column = i % (4u * THREADS_N);
    let at = half * THREADS_N + column / 4u;
    let r = row + 4u * (half / 2u) + half % 2u;
    storeSum(r, col + column, tileA[at][column & 3u]);
    if (REG_N > 4u) { storeSum(r, col + 4u * THREADS_N + column, tileB[at][column & 3u]); }
  }
}

// What products with four columns of the tile at `first` still lack of their scales.
fn leftOfColumns(col : u32, first : u32) -> vec4<f32> { return leftScales(scalesOfRows(&b_NK, scalesFrom(col), first)); }

// Where the scales of four columns begin.
fn scalesFrom(col : u32) -> vec4<u32> {
  let cols = min(fourFrom(col), vec4<u32>(params.numCols - 1u));
  return firstScales(cols * (params.depth / 4u), cols);
}

// Sums of a thread, 4 x 4 each: rows near and far by columns near and far.
struct Sums { s00 : mat4x4<f32>, s01 : mat4x4<f32>, s10 : mat4x4<f32>, s11 : mat4x4<f32> }

// What products with the near and the far columns lack of their scales; with WIDE only.
struct Left { near : vec4<f32>, far : vec4<f32> }

// A product of blocks, in the way that their numbers ask for.
fn product(sums : mat4x4<f32>, a : vec4<f32>, left : vec4<f32>, b : vec4<f32>) -> mat4x4<f32> {
  if (WIDE) { return timesWide(sums, a, left, b); }
  return times(sums, a, b);
}

// One k of the tile: two fours of rows by two fours of columns.
fn multiply(sums : Sums, a0 : vec4<f32>, a1 : vec4<f32>, b0 : vec4<f32>, b1 : vec4<f32>, left : Left) -> Sums {
  var next = sums;
  next.s00 = product(sums.s00, a0, left.near, b0);
  if (REG_N > 4u) { next.s01 = product(sums.s01, a0, left.far, b1); }
  if (REG_M > 4u) { next.s10 = product(sums.s10, a1, left.near, b0); }
  if (REG_M > 4u && REG_N > 4u) { next.s11 = product(sums.s11, a1, left.far, b1); }
  return next;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let depth4 = params.depth / 4u;
  let firstRow = group.y * TILE_M;
  let firstCol = group.x * TILE_N;
  // The four rows and the group along k that the thread fetches, and where they go.
  let k = lane % GROUPS;
  let four = lane / GROUPS;
  let fetchesA = BLOCKS_M * GROUPS == THREADS || four < BLOCKS_M;
  let fetchesB = BLOCKS_N * GROUPS == THREADS || four < BLOCKS_N;
  let rowsA = min(fourFrom(firstRow + 4u * four), vec4<u32>(params.numRows - 1u)) * depth4;
  let colsB = min(fourFrom(firstCol + 4u * four), vec4<u32>(params.numCols - 1u));
  let rowsB = colsB * depth4;
  let scalesB = firstScales(rowsB, colsB);
  let ownB = (firstCol + 4u * four) * depth4;
  let lastB = (params.numCols - 1u) * depth4;
  let putA = 4u * k * STRIDE_M + four;
  let putB = 4u * k * STRIDE_N + four;
  // The blocks that it owns: 4 x 4 each, THREADS_M and THREADS_N blocks apart.
  let tm = lane / THREADS_N;
  let tn = lane % THREADS_N;
  var sums : Sums;

  var a : mat4x4<f32>;
  var b : Stored;
  var scales = vec4<f32>(1.0);
  let scaled = FORMAT > 2u || (FORMAT == 2u && WIDE);
  var at = min(k, depth4 - 1u);
  if (AHEAD && fetchesA) { a = rowsOfA(rowsA, at); }
  if (AHEAD && fetchesB) {
    b = storedRows(&b_NK, groupsAt(rowsB, ownB, lastB, at), 0u);
    if (scaled) { scales = scalesOfRows(&b_NK, scalesB, 0u); }
  }
  for (var first = 0u; first < depth4; first += GROUPS) {
    let inside = vec4<bool>(first + k < depth4);
    if (!AHEAD) { at = min(first + k, depth4 - 1u); }
    workgroupBarrier();
    if (fetchesA) {
      if (!AHEAD) { a = rowsOfA(rowsA, at); }
      let turnedA = transpose(a);
      tileA[putA] = select(vec4<f32>(), turnedA[0], inside);
      tileA[putA + STRIDE_M] = select(vec4<f32>(), turnedA[1], inside);
      tileA[putA + 2u * STRIDE_M] = select(vec4<f32>(), turnedA[2], inside);
      tileA[putA + 3u * STRIDE_M] = select(vec4<f32>(), turnedA[3], inside);
    }
    if (fetchesB) {
      if (!AHEAD) {
        b = storedRows(&b_NK, groupsAt(rowsB, ownB, lastB, at), 0u);
        if (scaled) { scales = scalesOfRows(&b_NK, scalesB, first); }
      }
      let turnedB = turned(b, k & 1u, scales);
      tileB[putB] = select(vec4<f32>(), turnedB[0], inside);
      tileB[putB + STRIDE_N] = select(vec4<f32>(), turnedB[1], inside);
      tileB[putB + 2u * STRIDE_N] = select(vec4<f32>(), turnedB[2], inside);
      tileB[putB + 3u * STRIDE_N] = select(vec4<f32>(), turnedB[3], inside);
    }
    workgroupBarrier();
    // The next tile is on its way while this one is multiplied; after the last it is the same once more. Under a condition that
    // compilers cannot see, or Mesa moves the loads down to their use, behind the products.
    if (AHEAD && params.numCols > 0u) {
      let next = min(first + GROUPS, depth4 - 1u);
      at = min(next + k, depth4 - 1u);
      if (fetchesA) { a = rowsOfA(rowsA, at); }
      if (fetchesB) {
        b = storedRows(&b_NK, groupsAt(rowsB, ownB, lastB, at), 0u);
        if (scaled) { scales = scalesOfRows(&b_NK, scalesB, next); }
      }
    }
    // A tile lies within a block of scales, so each column has one factor.
    var left = Left();
    if (WIDE) {
      left.near = leftOfColumns(firstCol + 4u * tn, first);
      if (REG_N > 4u) { left.far = leftOfColumns(firstCol + 4u * (tn + THREADS_N), first); }
    }
    if (OPAQUE) {
      for (var i = 0u; i < min(TILE_K, TILE_K * params.depth); i += 1u) {
        sums = multiply(sums, tileA[i * STRIDE_M + tm], tileA[i * STRIDE_M + tm + FAR_M],
                        tileB[i * STRIDE_N + tn], tileB[i * STRIDE_N + tn + FAR_N], left);
      }
    } else {
      for (var i = 0u; i < TILE_K; i += 1u) {
        sums = multiply(sums, tileA[i * STRIDE_M + tm], tileA[i * STRIDE_M + tm + FAR_M],
                        tileB[i * STRIDE_N + tn], tileB[i * STRIDE_N + tn + FAR_N], left);
      }
    }
  }
  storeTwoOfC(firstRow, firstCol, lane, mat2x4<f32>(sums.s00[0], sums.s00[1]), mat2x4<f32>(sums.s01[0], sums.s01[1]));
  storeTwoOfC(firstRow + 2u, firstCol, lane, mat2x4<f32>(sums.s00[2], sums.s00[3]), mat2x4<f32>(sums.s01[2], sums.s01[3]));
  if (REG_M > 4u) {
    let far = firstRow + 4u * THREADS_M;
    storeTwoOfC(far, firstCol, lane, mat2x4<f32>(sums.s10[0], sums.s10[1]), mat2x4<f32>(sums.s11[0], sums.s11[1]));
    storeTwoOfC(far + 2u, firstCol, lane, mat2x4<f32>(sums.s10[2], sums.s10[3]), mat2x4<f32>(sums.s11[2], sums.s11[3]));
  }
}
