// Grouped GEMM with the epilogue of an expert: for each row r of expert e,
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n]) * (w3[e,n] . x[r] + bias[e,N+n])   (gated)
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n])                                     (not gated).
// Grid    x: columns by TILE_N, half of it when gated; y: tiles of TILE_M rows. A thread owns REG_M rows by 8 columns in
//         blocks of 4 x 4; gated, gate and up of 4 columns.
// Memory  tiles lie k-major in workgroup storage, so that a thread reads its operands of one k by vec4. A thread fetches a
//         block of 4 rows x 4 k of each operand by vec4, as it is stored, while the tile before is multiplied, and turns it
//         in registers. Gated, the first half of a tile of weights is of w1, the other of w3.
// Order   k ascending in every thread: the same bits on every run.
// Edges   the width is a multiple of 4. Rows and columns outside are clamped for the loads and never stored; what lies
//         beyond the width becomes zero when it is put into the tile: asked at the load, that would have to be waited for.
//         An unused tile has no rows.

requires unrestricted_pointer_parameters;

const THREADS_M : u32 = 8u;     // spec: threads along the rows of a tile
const THREADS_N : u32 = 8u;     // spec: threads along n
const REG_M : u32 = 8u;         // spec: rows per thread: 4 or 8
const TILE_K : u32 = 16u;       // spec: depth of one tile: a block of 4 x 4 per thread at most
const AHEAD : bool = true;      // spec: the next tile is fetched while this one is multiplied, which takes registers
const OPAQUE : bool = false;    // spec: for compilers that unroll what then spills: the loop over k has no known end
const FORMAT : u32 = 0u;        // spec: of the weights: 0 f32, 1 f16, 2 int8, 3 int4, 4 MXFP4, 5 the same by way of f16
const BF16 : bool = false;      // spec: what format 1 holds is bf16
const WIDE : bool = false;      // spec: products with a whole scale may leave f32: half of it at a time
const GATED : bool = true;      // spec: multiply by the up projection w3
const BIASED : bool = false;    // spec: add the bias
const GATHER : bool = false;    // spec: row r of the tiles is row rowSource[r] of x
const ACT : u32 = 1u;           // spec: 0 identity, 1 silu, 2 gelu (tanh), 3 relu, 4 clamped SwiGLU
alias Pack = vec4<u32>;         // spec: one load of weights: vec4<u32> for f32, u32 otherwise

const TILE_M : u32 = THREADS_M * REG_M;
const TILE_N : u32 = THREADS_N * 8u;
const THREADS : u32 = THREADS_M * THREADS_N;
const GROUPS : u32 = TILE_K / 4u;
const BLOCKS_M : u32 = TILE_M / 4u;
const BLOCKS_N : u32 = TILE_N / 4u;
// From a thread's near four rows to its far ones.
const FAR_M : u32 = (REG_M / 4u - 1u) * THREADS_M;
const BEGINS_HELD : bool = FORMAT > 0u || GATED;   // where each of four rows begins is held: fetched values of f32 fill the registers
const STRIDE_M : u32 = BLOCKS_M + 1u;   // padded against bank conflicts of the turned stores
const STRIDE_N : u32 = BLOCKS_N + 1u;

struct Params {
  depth : u32,
  numCols : u32,
  scaleStart : u32,    // word of the weights where their scales begin
  blockGroups : u32,   // groups of four values with one scale
  topK : u32,          // rows per row of x where there are no tiles
  numTiles : u32,      // where the host knows it: rows
  alpha : f32,
  beta : f32,
  limit : f32,
}

@group(0) @binding(0) var<storage, read> x_RK : array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rowSource : array<u32>;         // bound to tiles when not gathered
@group(0) @binding(2) var<storage, read> w1_ENK : array<Pack>;   // values, then from word scaleStart on the scales
@group(0) @binding(3) var<storage, read> w3_ENK : array<Pack>;   // bound to w1 when not gated
@group(0) @binding(4) var<storage, read> bias_E2N : array<f32>;          // [E, 2N] when gated, else [E, N]
@group(0) @binding(5) var<storage, read> tiles : array<vec4<u32>>;       // expert, first row, end row, -
@group(0) @binding(6) var<storage, read_write> y_RN : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> tileX : array<vec4<f32>, STRIDE_M * TILE_K>;
var<workgroup> tileW : array<vec4<f32>, STRIDE_N * TILE_K>;

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

// Four numbers from the first on.
fn fourFrom(first : u32) -> vec4<u32> { return vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u); }

// A product of blocks, in the way that their numbers ask for.
fn product(sums : mat4x4<f32>, a : vec4<f32>, left : vec4<f32>, b : vec4<f32>) -> mat4x4<f32> {
  if (WIDE) { return timesWide(sums, a, left, b); }
  return times(sums, a, b);
}

// What products with the near and the far columns lack of their scales; with WIDE only.
struct Left { near : vec4<f32>, far : vec4<f32> }

// Told by its bits: a compiler may take any float for a number.
fn isNaN(v : f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

// min that keeps NaN, which WGSL's may drop.
fn atMost(v : f32, most : f32) -> f32 { return select(min(v, most), v, isNaN(v)); }

// max that keeps NaN, which WGSL's may drop.
fn atLeast(v : f32, least : f32) -> f32 { return select(max(v, least), v, isNaN(v)); }

// The row of x that row r of the tiles is.
fn sourceOf(r : u32) -> u32 {
  if (GATHER) { return rowSource[r]; }
  return r;
}

// 1 / (1 + e^-v).
fn sigmoid(v : f32) -> f32 { return 1.0 / (1.0 + exp(-v)); }

// silu(v) w. Below -87 the sigmoid is e^v, which underflows although the product may not: half of it at a time.
fn siluTimes(v : f32, w : f32) -> f32 {
  let half = exp(0.5 * v);
  return select(v * sigmoid(v) * w, v * half * w * half, v < -87.0);
}

// The tanh form. It saturates long before its argument overflows exp. A NaN that clamp drops comes back by the factor v.
fn gelu(v : f32) -> f32 {
  return 0.5 * v * (1.0 + tanh(clamp(0.7978845608028654 * (v + 0.044715 * v * v * v), -20.0, 20.0)));
}

// The activation of the gate, times up when gated; a clamped SwiGLU (ACT 4) bounds both and adds beta to up.
fn epilogue(gate : f32, up : f32) -> f32 {
  if (ACT == 4u) {
    let g = atMost(gate, params.limit);
    return g * sigmoid(params.alpha * g) * (atMost(atLeast(up, -params.limit), params.limit) + params.beta);
  }
  if (ACT == 1u) { return siluTimes(gate, select(1.0, up, GATED)); }
  var v = gate;
  if (ACT == 2u) { v = gelu(gate); }
  if (ACT == 3u) { v = atLeast(gate, 0.0); }
  if (GATED) { v *= up; }
  return v;
}

// Bias of the gate (0) or up (1) projection of column n.
fn bias(expert : u32, n : u32, which : u32) -> f32 {
  if (!BIASED) { return 0.0; }
  let width = select(params.numCols, 2u * params.numCols, GATED);
  return bias_E2N[expert * width + which * params.numCols + n];
}

// A group of four along k of four rows of x.
fn rowsOfX(rows : vec4<u32>, k : u32) -> mat4x4<f32> {
  return mat4x4<f32>(x_RK[rows.x + k], x_RK[rows.y + k], x_RK[rows.z + k], x_RK[rows.w + k]);
}

// Rows of weights by their column, as all experts' rows are counted.
fn weightRows(expert : u32, col : u32) -> vec4<u32> {
  return expert * params.numCols + min(fourFrom(col), vec4<u32>(params.numCols - 1u));
}

// What products with four rows of weights, in the tile at `first`, still lack of their scales.
fn leftOf(weights : ptr<storage, array<Pack>, read>, rows : vec4<u32>, first : u32) -> vec4<f32> {
  return leftScales(scalesOfRows(weights, firstScales(rows * (params.depth / 4u), rows), first));
}

// Column n of a row of y from its sums; int8 gets its scales here.
fn storeOutput(tile : vec4<u32>, row : u32, n : u32, gate : f32, up : f32) {
  if (row >= tile.z || n >= params.numCols) { return; }
  let rowW = vec4<u32>(tile.x * params.numCols + n);
  var g = gate;
  var u = up;
  if (FORMAT == 2u && !WIDE) {
    g *= scalesOfRows(&w1_ENK, firstScales(rowW, rowW), 0u).x;
    if (GATED) { u *= scalesOfRows(&w3_ENK, firstScales(rowW, rowW), 0u).x; }
  }
  if (GATED) { u += bias(tile.x, n, 1u); }
  y_RN[row * params.numCols + n] = epilogue(g + bias(tile.x, n, 0u), u);
}

// Two rows of each thread, `offset` rows after its first: through workgroup storage, so that lanes side by side store columns
// side by side.
fn storeTwoOfY(tile : vec4<u32>, firstCol : u32, lane : u32, offset : u32, near : mat2x4<f32>, far : mat2x4<f32>) {
  let put = 2u * (lane / THREADS_N) * THREADS_N + lane % THREADS_N;
  workgroupBarrier();
  tileX[put] = near[0];
  tileX[put + THREADS_N] = near[1];
  tileW[put] = far[0];
  tileW[put + THREADS_N] = far[1];
  workgroupBarrier();
  for (var i = lane; i < THREADS * 8u; i += THREADS) {
    let half = i / (4u * THREADS_N);
    let column = i % (4u * THREADS_N);
    let at = half * THREADS_N + column / 4u;
    let row = tile.y + offset + 4u * (half / 2u) + half % 2u;
    let first = tileX[at][column & 3u];
    let second = tileW[at][column & 3u];
    storeOutput(tile, row, firstCol + column, first, second);
    if (!GATED) { storeOutput(tile, row, firstCol + 4u * THREADS_N + column, second, 0.0); }
  }
}

// Sums of a thread, 4 x 4 each: rows near and far by columns near and far, or by gate and up.
struct ExpertSums { s00 : mat4x4<f32>, s01 : mat4x4<f32>, s10 : mat4x4<f32>, s11 : mat4x4<f32> }

// One k of the tile: two fours of rows by two fours of rows of weights.
fn multiplyRows(sums : ExpertSums, x0 : vec4<f32>, x1 : vec4<f32>, w0 : vec4<f32>, w1 : vec4<f32>, left : Left) -> ExpertSums {
  var next = sums;
  next.s00 = product(sums.s00, x0, left.near, w0);
  next.s01 = product(sums.s01, x0, left.far, w1);
  if (REG_M > 4u) {
    next.s10 = product(sums.s10, x1, left.near, w0);
    next.s11 = product(sums.s11, x1, left.far, w1);
  }
  return next;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let tile = tiles[group.y];
  let depth4 = params.depth / 4u;
  let firstCol = group.x * select(TILE_N, TILE_N / 2u, GATED);
  // The four rows and the group along k that the thread fetches, and where they go.
  let k = lane % GROUPS;
  let four = lane / GROUPS;
  let fetchesX = BLOCKS_M * GROUPS == THREADS || four < BLOCKS_M;
  let fetchesW = BLOCKS_N * GROUPS == THREADS || four < BLOCKS_N;
  let fetchesUp = GATED && four >= BLOCKS_N / 2u;
  let at4 = min(fourFrom(tile.y + 4u * four), vec4<u32>(max(tile.z, 1u) - 1u));
  let rowsX = vec4<u32>(sourceOf(at4.x), sourceOf(at4.y), sourceOf(at4.z), sourceOf(at4.w)) * depth4;
  let colsW = firstCol + 4u * select(four, four % (BLOCKS_N / 2u), GATED);
  let numbersW = weightRows(tile.x, colsW);
  let rowsW = numbersW * depth4;
  let ownW = (tile.x * params.numCols + colsW) * depth4;
  let lastW = ((tile.x + 1u) * params.numCols - 1u) * depth4;
  let scalesW = firstScales(rowsW, numbersW);
  let putX = 4u * k * STRIDE_M + four;
  let putW = 4u * k * STRIDE_N + four;
  // The blocks that it owns.
  let tm = lane / THREADS_N;
  let tn = lane % THREADS_N;
  var sums : ExpertSums;

  var x : mat4x4<f32>;
  var w : Stored;
  var scales = vec4<f32>(1.0);
  let scaled = FORMAT > 2u || (FORMAT == 2u && WIDE);
  var at = min(k, depth4 - 1u);
  if (AHEAD && fetchesX) { x = rowsOfX(rowsX, at); }
  if (AHEAD && fetchesW) {
    if (fetchesUp) {
      w = storedRows(&w3_ENK, groupsAt(rowsW, ownW, lastW, at), 0u);
      if (scaled) { scales = scalesOfRows(&w3_ENK, scalesW, 0u); }
    } else {
      w = storedRows(&w1_ENK, groupsAt(rowsW, ownW, lastW, at), 0u);
      if (scaled) { scales = scalesOfRows(&w1_ENK, scalesW, 0u); }
    }
  }
  for (var first = 0u; first < depth4; first += GROUPS) {
    let inside = vec4<bool>(first + k < depth4);
    if (!AHEAD) { at = min(first + k, depth4 - 1u); }
    workgroupBarrier();
    if (fetchesX) {
      if (!AHEAD) { x = rowsOfX(rowsX, at); }
      let turnedX = transpose(x);
      tileX[putX] = select(vec4<f32>(), turnedX[0], inside);
      tileX[putX + STRIDE_M] = select(vec4<f32>(), turnedX[1], inside);
      tileX[putX + 2u * STRIDE_M] = select(vec4<f32>(), turnedX[2], inside);
      tileX[putX + 3u * STRIDE_M] = select(vec4<f32>(), turnedX[3], inside);
    }
    if (fetchesW) {
      if (!AHEAD) {
        if (fetchesUp) {
          w = storedRows(&w3_ENK, groupsAt(rowsW, ownW, lastW, at), 0u);
          if (scaled) { scales = scalesOfRows(&w3_ENK, scalesW, first); }
        } else {
          w = storedRows(&w1_ENK, groupsAt(rowsW, ownW, lastW, at), 0u);
          if (scaled) { scales = scalesOfRows(&w1_ENK, scalesW, first); }
        }
      }
      let turnedW = turned(w, k & 1u, scales);
      tileW[putW] = select(vec4<f32>(), turnedW[0], inside);
      tileW[putW + STRIDE_N] = select(vec4<f32>(), turnedW[1], inside);
      tileW[putW + 2u * STRIDE_N] = select(vec4<f32>(), turnedW[2], inside);
      tileW[putW + 3u * STRIDE_N] = select(vec4<f32>(), turnedW[3], inside);
    }
    workgroupBarrier();
    // The next tile is on its way while this one is multiplied; after the last it is the same once more. Under a condition that
    // compilers cannot see, or Mesa moves the loads down to their use, behind the products.
    if (AHEAD && params.numCols > 0u) {
      let next = min(first + GROUPS, depth4 - 1u);
      at = min(next + k, depth4 - 1u);
      if (fetchesX) { x = rowsOfX(rowsX, at); }
      if (fetchesW) {
        if (fetchesUp) {
          w = storedRows(&w3_ENK, groupsAt(rowsW, ownW, lastW, at), 0u);
          if (scaled) { scales = scalesOfRows(&w3_ENK, scalesW, next); }
        } else {
          w = storedRows(&w1_ENK, groupsAt(rowsW, ownW, lastW, at), 0u);
          if (scaled) { scales = scalesOfRows(&w1_ENK, scalesW, next); }
        }
      }
    }
    // A tile lies within a block of scales, so each row of weights has one factor.
    var left = Left();
    if (WIDE) {
      left.near = leftOf(&w1_ENK, weightRows(tile.x, firstCol + 4u * tn), first);
      if (GATED) {
        left.far = leftOf(&w3_ENK, weightRows(tile.x, firstCol + 4u * tn), first);
      } else {
        left.far = leftOf(&w1_ENK, weightRows(tile.x, firstCol + 4u * (tn + THREADS_N)), first);
      }
    }
    if (OPAQUE) {
      for (var i = 0u; i < min(TILE_K, TILE_K * params.depth); i += 1u) {
        sums = multiplyRows(sums, tileX[i * STRIDE_M + tm], tileX[i * STRIDE_M + tm + FAR_M],
                            tileW[i * STRIDE_N + tn], tileW[i * STRIDE_N + tn + THREADS_N], left);
      }
    } else {
      for (var i = 0u; i < TILE_K; i += 1u) {
        sums = multiplyRows(sums, tileX[i * STRIDE_M + tm], tileX[i * STRIDE_M + tm + FAR_M],
                            tileW[i * STRIDE_N + tn], tileW[i * STRIDE_N + tn + THREADS_N], left);
      }
    }
  }
  storeTwoOfY(tile, firstCol, lane, 0u, mat2x4<f32>(sums.s00[0], sums.s00[1]), mat2x4<f32>(sums.s01[0], sums.s01[1]));
  storeTwoOfY(tile, firstCol, lane, 2u, mat2x4<f32>(sums.s00[2], sums.s00[3]), mat2x4<f32>(sums.s01[2], sums.s01[3]));
  if (REG_M > 4u) {
    let far = 4u * THREADS_M;
    storeTwoOfY(tile, firstCol, lane, far, mat2x4<f32>(sums.s10[0], sums.s10[1]), mat2x4<f32>(sums.s11[0], sums.s11[1]));
    storeTwoOfY(tile, firstCol, lane, far + 2u, mat2x4<f32>(sums.s10[2], sums.s10[3]), mat2x4<f32>(sums.s11[2], sums.s11[3]));
  }
}
