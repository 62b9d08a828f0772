// Grouped GEMM with the epilogue of an expert, both operands in int8 and sums in i32: for each row r of expert e,
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n]) * (w3[e,n] . x[r] + bias[e,N+n])   (gated)
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n])                                     (not gated),
// with rows of x rounded to 127 steps of their largest magnitude, as gemm/int8.wgsl: a product may be off by half a step times the
// sum of |w| of its column.
// Grid    x: columns by 64, 32 of them when gated; y: tiles of 64 rows. A thread owns 8 x 8 sums; gated, gate and up of 4 columns.
// Memory  words of four values along k lie k-major in workgroup storage, four rows to a vec4. The next tile is fetched as it is
//         stored while this one is multiplied; rows of x are rounded when they are put. Gated, the far columns are of w3.
// Order   sums are whole numbers: the same bits on every run and in any order.
// Edges   the width is a multiple of 4 and at most 133,144, so that sums stay in 32 bits. A row of x with Inf or NaN is multiplied
//         in f32. Rows and columns outside are clamped for the loads and never stored. An unused tile has no rows.

requires unrestricted_pointer_parameters;

const THREADS_M : u32 = 8u;     // spec: threads along the rows of a tile
const THREADS_N : u32 = 8u;     // spec: threads along n
const WORDS : u32 = 8u;         // spec: depth of one tile in words of four values
const GATED : bool = true;      // spec: multiply by the up projection w3
const BIASED : bool = false;    // spec: add the bias
const GATHER : bool = false;    // spec: row r of the tiles is row rowSource[r] of x
const ACT : u32 = 1u;           // spec: 0 identity, 1 silu, 2 gelu (tanh), 3 relu, 4 clamped SwiGLU

const THREADS : u32 = THREADS_M * THREADS_N;
const FOURS_M : u32 = 2u * THREADS_M;    // fours of rows of a tile
const FOURS_N : u32 = 2u * THREADS_N;
const STRIDE_M : u32 = FOURS_M + 1u;     // padded against bank conflicts
const STRIDE_N : u32 = FOURS_N + 1u;
const TILE_M : u32 = 4u * FOURS_M;
const TILE_N : u32 = 4u * FOURS_N;
const COLUMNS : u32 = select(TILE_N, TILE_N / 2u, GATED);   // of y
const AT_ONCE : u32 = THREADS / WORDS;   // fours of rows that are fetched in a turn: half of them

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
@group(0) @binding(2) var<storage, read> w1_ENK : array<u32>;   // values, then from word scaleStart on the scales
@group(0) @binding(3) var<storage, read> w3_ENK : array<u32>;   // bound to w1 when not gated
@group(0) @binding(4) var<storage, read> bias_E2N : array<f32>;          // [E, 2N] when gated, else [E, N]
@group(0) @binding(5) var<storage, read> tiles : array<vec4<u32>>;       // expert, first row, end row, -
@group(0) @binding(6) var<storage, read_write> y_RN : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> tileX : array<vec4<u32>, WORDS * STRIDE_M>;
var<workgroup> tileW : array<vec4<u32>, WORDS * STRIDE_N>;
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

// Four rows of a, or columns of b, of which a thread fetches a word each.
struct FourRows { x : vec4<f32>, y : vec4<f32>, z : vec4<f32>, w : vec4<f32> }

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

// A product from its sum of steps, the largest magnitude of its row and the scale of its column.
fn fromSteps(sum : i32, most : u32, scale : f32) -> f32 {
  let halves = halvesOf(scale);
  let exponent = 127 - i32(exponentFor(most)) + i32(bitcast<u32>(halves.y) >> 23u) - 127;
  return timesPower(f32(sum) * (poweredMost(most) / 127.0) * halves.x, exponent);
}

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

// Groups of four before a row of x that row `row` of a tile is.
fn groupsBefore(tile : vec4<u32>, row : u32) -> u32 {
  return sourceOf(min(tile.y + row, max(tile.z, 1u) - 1u)) * (params.depth / 4u);
}

// Words before a row of weights, as all experts' rows are counted.
fn wordsBefore(expert : u32, column : u32) -> u32 {
  return (expert * params.numCols + min(column, params.numCols - 1u)) * (params.depth / 4u);
}

// Where four rows of x begin.
fn fourBefore(tile : vec4<u32>, row : u32) -> vec4<u32> {
  return vec4<u32>(groupsBefore(tile, row), groupsBefore(tile, row + 1u), groupsBefore(tile, row + 2u), groupsBefore(tile, row + 3u));
}

fn fetchedX(before : vec4<u32>, at : u32) -> FourRows {
  return FourRows(x_RK[before.x + at], x_RK[before.y + at], x_RK[before.z + at], x_RK[before.w + at]);
}

// A word each of four rows of weights.
fn fetchedW(weights : ptr<storage, array<u32>, read>, expert : u32, column : u32, at : u32) -> vec4<u32> {
  return vec4<u32>((*weights)[wordsBefore(expert, column) + at], (*weights)[wordsBefore(expert, column + 1u) + at],
                   (*weights)[wordsBefore(expert, column + 2u) + at], (*weights)[wordsBefore(expert, column + 3u) + at]);
}

// The far columns of a tile: gated, of the up projection.
fn fetchedFar(expert : u32, firstCol : u32, own : u32, at : u32) -> vec4<u32> {
  if (GATED) { return fetchedW(&w3_ENK, expert, firstCol + 4u * own, at); }
  return fetchedW(&w1_ENK, expert, firstCol + 4u * (own + AT_ONCE), at);
}

// A product of a row that int8 does not hold, from where its operands begin.
fn exactOf(weights : ptr<storage, array<u32>, read>, beforeX : u32, beforeW : u32, scale : f32) -> f32 {
  var sum = vec4<f32>();
  for (var i = 0u; i < params.depth / 4u; i += 1u) {
    sum = fma(x_RK[beforeX + i], bytes4((*weights)[beforeW + i]) * scale, sum);
  }
  return (sum.x + sum.y) + (sum.z + sum.w);
}

// A product from its sum.
fn productFrom(weights : ptr<storage, array<u32>, read>, tile : vec4<u32>, own : u32, n : u32, sum : i32) -> f32 {
  let scale = bitcast<f32>((*weights)[params.scaleStart + tile.x * params.numCols + n]);
  let most = largest[own];
  if (most < 0x7f800000u) { return fromSteps(sum, most, scale); }
  return exactOf(weights, groupsBefore(tile, own), wordsBefore(tile.x, n), scale);
}

// Four columns of a row of the tile from their sums; gated, of gate and up.
fn storeFours(tile : vec4<u32>, own : u32, n : u32, gates : vec4<i32>, ups : vec4<i32>) {
  let row = tile.y + own;
  if (row >= tile.z) { return; }
  for (var i = 0u; i < 4u; i += 1u) {
    if (n + i >= params.numCols) { continue; }
    let gate = productFrom(&w1_ENK, tile, own, n + i, gates[i]);
    var up = 0.0;
    if (GATED) { up = productFrom(&w3_ENK, tile, own, n + i, ups[i]) + bias(tile.x, n + i, 1u); }
    y_RN[row * params.numCols + n + i] = epilogue(gate + bias(tile.x, n + i, 0u), up);
  }
}

// Four rows, from a row of the tile on, of near and far columns.
fn storeBlocks(tile : vec4<u32>, own : u32, n : u32, near : WholeSums, far : WholeSums) {
  storeFours(tile, own, n, near.x, far.x);
  storeFours(tile, own + 1u, n, near.y, far.y);
  storeFours(tile, own + 2u, n, near.z, far.z);
  storeFours(tile, own + 3u, n, near.w, far.w);
  if (!GATED) {
    let other = n + 4u * THREADS_N;
    storeFours(tile, own, other, far.x, vec4<i32>());
    storeFours(tile, own + 1u, other, far.y, vec4<i32>());
    storeFours(tile, own + 2u, other, far.z, vec4<i32>());
    storeFours(tile, own + 3u, other, far.w, vec4<i32>());
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let words = params.depth / 4u;
  let tile = tiles[group.y];
  let firstCol = group.x * COLUMNS;
  let down = lane / THREADS_N;
  let along = lane % THREADS_N;
  // The word of a tile, and the first of its fours of rows, that the thread fetches.
  let k = lane % WORDS;
  let own = lane / WORDS;
  // The largest magnitude of each row, by WORDS lanes side by side.
  for (var row = own; row < TILE_M; row += AT_ONCE) {
    let before = groupsBefore(tile, row);
    var most = 0u;
    // As bits: NaN is the largest.
    for (var at = k; at < words; at += WORDS) { most = max(most, mostOf(x_RK[before + at])); }
    parts[row * WORDS + k] = most;
  }
  workgroupBarrier();
  for (var row = lane; row < TILE_M; row += THREADS) {
    var most = 0u;
    // As bits: NaN is the largest.
    for (var i = 0u; i < WORDS; i += 1u) { most = max(most, parts[row * WORDS + i]); }
    largest[row] = most;
    toSteps[row] = vec2<f32>(powerOf(exponentFor(most)), 127.0 / poweredMost(most));
  }
  let before0 = fourBefore(tile, 4u * own);
  let before1 = fourBefore(tile, 4u * (own + AT_ONCE));
  var next = min(k, words - 1u);
  var x0 = fetchedX(before0, next);
  var x1 = fetchedX(before1, next);
  var w0 = fetchedW(&w1_ENK, tile.x, firstCol + 4u * own, next);
  var w1 = fetchedFar(tile.x, firstCol, own, next);
  var nearNear : WholeSums;
  var nearFar : WholeSums;
  var farNear : WholeSums;
  var farFar : WholeSums;
  for (var first = 0u; first < words; first += WORDS) {
    let inside = vec4<bool>(first + k < words);
    workgroupBarrier();
    tileX[k * STRIDE_M + own] = select(vec4<u32>(), steps4(x0, 4u * own), inside);
    tileX[k * STRIDE_M + own + AT_ONCE] = select(vec4<u32>(), steps4(x1, 4u * (own + AT_ONCE)), inside);
    tileW[k * STRIDE_N + own] = w0;
    tileW[k * STRIDE_N + own + AT_ONCE] = w1;
    workgroupBarrier();
    // The next tile is on its way while this one is multiplied; after the last it is its last word once more.
    next = min(first + WORDS + k, words - 1u);
    x0 = fetchedX(before0, next);
    x1 = fetchedX(before1, next);
    w0 = fetchedW(&w1_ENK, tile.x, firstCol + 4u * own, next);
    w1 = fetchedFar(tile.x, firstCol, own, next);
    for (var i = 0u; i < WORDS; i += 1u) {
      let xNear = tileX[i * STRIDE_M + down];
      let xFar = tileX[i * STRIDE_M + down + THREADS_M];
      let wNear = tileW[i * STRIDE_N + along];
      let wFar = tileW[i * STRIDE_N + along + THREADS_N];
      nearNear = withDots(nearNear, xNear, wNear);
      nearFar = withDots(nearFar, xNear, wFar);
      farNear = withDots(farNear, xFar, wNear);
      farFar = withDots(farFar, xFar, wFar);
    }
  }
  storeBlocks(tile, 4u * down, firstCol + 4u * along, nearNear, nearFar);
  storeBlocks(tile, 4u * (down + THREADS_M), firstCol + 4u * along, farNear, farFar);
}
