// Grouped GEMM with the epilogue of an expert: for each row r of expert e,
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n]) * (w3[e,n] . x[r] + bias[e,N+n])   (gated)
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n])                                     (not gated).
// Grid    x: columns, y: tiles of at most ROWS rows; a lane owns ROWS rows of 4 rows of weights: 4 columns, or 2 of
//         both projections when gated.
// Memory  each lane loads weights for its own columns; rows of x are loaded once per subgroup, each by one lane, and
//         shared by shuffles. No workgroup storage, so no barrier.
// Order   k ascending in every lane: the same bits on every run, whatever the subgroup size.
// Edges   K is a multiple of 4; rows and columns outside are clamped for the loads and never stored. A tile of few
//         rows takes a shorter loop. Subgroups have at least LANES lanes; no lane leaves early.

enable subgroups;
requires unrestricted_pointer_parameters;

const WG : u32 = 32u;           // spec: lanes per workgroup, a multiple of LANES
const LANES : u32 = 8u;         // spec: lanes that share eight rows: 8, or 4 that hold two rows each
const ROWS : u32 = 32u;         // spec: rows of a tile at most: 8, 16 or 32
const FORMAT : u32 = 0u;        // spec: of the weights: 0 f32, 1 f16, 2 int8, 3 int4, 4 MXFP4, 5 the same by way of f16
const BF16 : bool = false;      // spec: what format 1 holds is bf16
const WIDE : bool = false;      // spec: products with a whole scale may leave f32: half of it at a time
const GATED : bool = true;      // spec: multiply by the up projection w3
const BIASED : bool = false;    // spec: add the bias
const GATHER : bool = false;    // spec: row r of the tiles is row rowSource[r] of x
const ACT : u32 = 1u;           // spec: 0 identity, 1 silu, 2 gelu (tanh), 3 relu, 4 clamped SwiGLU
alias Pack = vec4<u32>;         // spec: one load of weights: vec4<u32> for f32, u32 otherwise
const STEP : u32 = 1u;          // spec: groups of four per round: 2 for nibbles with 8 rows, where the loop stays short

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

// What products with the lane's four rows of weights still lack of their scales.
var<private> factors : vec4<f32>;

// Four scales; with WIDE the rest of each is left to its factor.
fn halved(scales : vec4<f32>) -> vec4<f32> {
  if (!WIDE) { return scales; }
  let x = halvesOf(scales.x);
  let y = halvesOf(scales.y);
  let z = halvesOf(scales.z);
  let w = halvesOf(scales.w);
  factors = vec4<f32>(x.y, y.y, z.y, w.y);
  return vec4<f32>(x.x, y.x, z.x, w.x);
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

// Word `index` of the weights.
fn word(weights : ptr<storage, array<Pack>, read>, index : u32) -> u32 { return vec4<u32>((*weights)[index]).x; }

// Words by their number, of the lane's first two and last two rows of weights.
fn words4(low : ptr<storage, array<Pack>, read>, high : ptr<storage, array<Pack>, read>, index : vec4<u32>) -> vec4<u32> {
  return vec4<u32>(word(low, index.x), word(low, index.y), word(high, index.z), word(high, index.w));
}

// Scales by their number, of the lane's first two and last two rows of weights.
fn scales4(low : ptr<storage, array<Pack>, read>, high : ptr<storage, array<Pack>, read>, index : vec4<u32>) -> vec4<f32> {
  let at = index + vec4<u32>(params.scaleStart);
  return bitcast<vec4<f32>>(words4(low, high, at));
}

// Two values of 16 bits: f16, or bf16, which is the upper half of an f32.
fn halves2(word : u32) -> vec2<f32> {
  if (BF16) { return bitcast<vec2<f32>>(vec2<u32>(word << 16u, word & 0xffff0000u)); }
  return unpack2x16float(word);
}

// Four weights from the index of their group of four. int4 and MXFP4 come scaled; int8 is scaled at the end.
fn weight4(weights : ptr<storage, array<Pack>, read>, index : u32, scale : f32) -> vec4<f32> {
  if (FORMAT == 0u) { return bitcast<vec4<f32>>(vec4<u32>((*weights)[index])); }
  if (FORMAT == 1u) {
    return vec4<f32>(halves2(word(weights, 2u * index)), halves2(word(weights, 2u * index + 1u)));
  }
  if (FORMAT == 2u) {
    let bytes = vec4<f32>(unpack4xI8(word(weights, index)));
    if (WIDE) { return bytes * scale; }
    return bytes;
  }
  return nibbles4(word(weights, index >> 1u) >> ((index & 1u) * 16u)) * scale;
}

// A group of four along k of the lane's first two and last two rows of weights. Column i is k = i.
fn weights4(low : ptr<storage, array<Pack>, read>, high : ptr<storage, array<Pack>, read>, rows : vec4<u32>, k : u32,
            scales : vec4<f32>) -> mat4x4<f32> {
  return transpose(mat4x4<f32>(weight4(low, rows.x + k, scales.x), weight4(low, rows.y + k, scales.y),
                               weight4(high, rows.z + k, scales.z), weight4(high, rows.w + k, scales.w)));
}

// Sums of eight rows, a column per row.
struct Eight { low : mat4x4<f32>, high : mat4x4<f32> }

// Four along k of the rows of x that a lane holds of eight: one, or one of 0 to 3 and one of 4 to 7 where four lanes share.
struct Held { low : vec4<f32>, high : vec4<f32> }

// One row's four sums, and a group of four along k more. Column i of w4 is k = i.
fn row(sums : vec4<f32>, x : vec4<f32>, w4 : mat4x4<f32>) -> vec4<f32> {
  if (WIDE) {
    return fma(x.wwww * factors, w4[3], fma(x.zzzz * factors, w4[2],
           fma(x.yyyy * factors, w4[1], fma(x.xxxx * factors, w4[0], sums))));
  }
  return fma(x.wwww, w4[3], fma(x.zzzz, w4[2], fma(x.yyyy, w4[1], fma(x.xxxx, w4[0], sums))));
}

// Eight rows' sums, and a group of four along k more. llvmpipe shuffles eight lanes by a literal faster than it broadcasts one,
// and four lanes in a loop; SwiftShader broadcasts faster.
fn eight(sums : Eight, x : Held, w4 : mat4x4<f32>) -> Eight {
  var next : Eight;
  if (LANES == 4u) {
    next.low = mat4x4<f32>(
      row(sums.low[0], subgroupBroadcast(x.low, 0u), w4), row(sums.low[1], subgroupBroadcast(x.low, 1u), w4),
      row(sums.low[2], subgroupBroadcast(x.low, 2u), w4), row(sums.low[3], subgroupBroadcast(x.low, 3u), w4));
    next.high = mat4x4<f32>(
      row(sums.high[0], subgroupBroadcast(x.high, 0u), w4), row(sums.high[1], subgroupBroadcast(x.high, 1u), w4),
      row(sums.high[2], subgroupBroadcast(x.high, 2u), w4), row(sums.high[3], subgroupBroadcast(x.high, 3u), w4));
  } else {
    next.low = mat4x4<f32>(
      row(sums.low[0], subgroupShuffle(x.low, 0u), w4), row(sums.low[1], subgroupShuffle(x.low, 1u), w4),
      row(sums.low[2], subgroupShuffle(x.low, 2u), w4), row(sums.low[3], subgroupShuffle(x.low, 3u), w4));
    next.high = mat4x4<f32>(
      row(sums.high[0], subgroupShuffle(x.low, 4u), w4), row(sums.high[1], subgroupShuffle(x.low, 5u), w4),
      row(sums.high[2], subgroupShuffle(x.low, 6u), w4), row(sums.high[3], subgroupShuffle(x.low, 7u), w4));
  }
  return next;
}

// The group of four at k of the rows that the lane holds.
fn heldGroup(x : ptr<storage, array<vec4<f32>>, read>, rows : vec2<u32>, k : u32) -> Held {
  let low = (*x)[rows.x + k];
  var high = low;
  if (LANES == 4u) { high = (*x)[rows.y + k]; }
  return Held(low, high);
}

// The row of x that row r of the tiles is.
fn sourceOf(r : u32) -> u32 {
  if (GATHER) { return rowSource[r]; }
  return r;
}

// Offsets of the rows of x that this lane holds of the eight from `first` on; `end` is the tile's.
fn heldSources(first : u32, end : u32, lane : u32) -> vec2<u32> {
  let low = min(first + lane % LANES, end - 1u);
  let high = min(first + 4u + lane % LANES, end - 1u);
  return vec2<u32>(sourceOf(low), sourceOf(select(low, high, LANES == 4u))) * (params.depth / 4u);
}

// The lane's rows of weights are two of w1, and two of w3 or w1.
fn ownWords(index : vec4<u32>) -> vec4<u32> {
  if (GATED) { return words4(&w1_ENK, &w3_ENK, index); }
  return words4(&w1_ENK, &w1_ENK, index);
}

fn ownScales(index : vec4<u32>) -> vec4<f32> {
  if (GATED) { return scales4(&w1_ENK, &w3_ENK, index); }
  return scales4(&w1_ENK, &w1_ENK, index);
}

fn ownWeights(rows : vec4<u32>, k : u32, scales : vec4<f32>) -> mat4x4<f32> {
  if (GATED) { return weights4(&w1_ENK, &w3_ENK, rows, k, scales); }
  return weights4(&w1_ENK, &w1_ENK, rows, k, scales);
}

// The lower groups of four of four words of nibbles. Column i is k = i.
fn nibbles16(words : vec4<u32>, scales : vec4<f32>) -> mat4x4<f32> {
  return transpose(mat4x4<f32>(nibbles4(words.x) * scales.x, nibbles4(words.y) * scales.y,
                               nibbles4(words.z) * scales.z, nibbles4(words.w) * scales.w));
}

// 1 / (1 + e^-v).
fn sigmoid(v : f32) -> f32 { return 1.0 / (1.0 + exp(-v)); }

// silu(v) w. Below -87 the sigmoid is e^v, which underflows although the product may not: half of it at a time.
fn siluTimes(v : f32, w : f32) -> f32 {
  let half = exp(0.5 * v);
  return select(v * sigmoid(v) * w, v * half * w * half, v < -87.0);
}

// Told by its bits: a compiler may take any float for a number.
fn isNaN(v : f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

// min that keeps NaN, which WGSL's may drop.
fn atMost(v : f32, most : f32) -> f32 { return select(min(v, most), v, isNaN(v)); }

// max that keeps NaN, which WGSL's may drop.
fn atLeast(v : f32, least : f32) -> f32 { return select(max(v, least), v, isNaN(v)); }

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

fn storeColumn(expert : u32, row : u32, n : u32, gate : f32, up : f32) {
  if (n >= params.numCols) { return; }
  var u = up;
  if (GATED) { u += bias(expert, n, 1u); }
  y_RN[row * params.numCols + n] = epilogue(gate + bias(expert, n, 0u), u);
}

fn storeFour(expert : u32, row : u32, n : u32, sums : vec4<f32>) {
  if (GATED) {
    storeColumn(expert, row, n, sums.x, sums.z);
    storeColumn(expert, row, n + 1u, sums.y, sums.w);
    return;
  }
  for (var j = 0u; j < 4u; j += 1u) { storeColumn(expert, row, n + j, sums[j], 0.0); }
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid : vec3<u32>,
        @builtin(workgroup_id) group : vec3<u32>,
        @builtin(subgroup_invocation_id) lane : u32) {
  let tile = tiles[group.y];
  if (tile.y >= tile.z) { return; }
  let n = gid.x * select(4u, 2u, GATED);
  let depth4 = params.depth / 4u;
  // Rows of weights: n .. n + 3, or n and n + 1 of both projections.
  let own = select(vec4<u32>(n, n + 1u, n + 2u, n + 3u), vec4<u32>(n, n + 1u, n, n + 1u), GATED);
  let cols = vec4<u32>(tile.x * params.numCols) + min(own, vec4<u32>(params.numCols - 1u));
  let rowW = cols * depth4;
  let rows0 = heldSources(tile.y, tile.z, lane);
  let rows1 = heldSources(tile.y + 8u, tile.z, lane);
  let rows2 = heldSources(tile.y + 16u, tile.z, lane);
  let rows3 = heldSources(tile.y + 24u, tile.z, lane);
  var sums0 : Eight;
  var sums1 : Eight;
  var sums2 : Eight;
  var sums3 : Eight;
  var scales = vec4<f32>(1.0);
  if (FORMAT == 2u) { scales = halved(ownScales(cols)); }
  // A loop that has nothing to do costs nothing, where a branch may cost both of its sides.
  let few = ROWS > 8u && tile.z - tile.y <= ROWS / 2u;
  let manyGroups = select(depth4, 0u, few);
  let fewGroups = select(0u, depth4, few);
  for (var first = 0u; first < manyGroups; first += params.blockGroups) {
    if (FORMAT > 2u) { scales = halved(ownScales((rowW + first) / 8u)); }
    for (var k = first; k < first + params.blockGroups; k += STEP) {
      if (STEP == 2u) {
        let words = ownWords((rowW + k) / 2u);
        let x0 = heldGroup(&x_RK, rows0, k);
        let x1 = heldGroup(&x_RK, rows0, k + 1u);
        sums0 = eight(sums0, x0, nibbles16(words, scales));
        sums0 = eight(sums0, x1, nibbles16(words >> vec4<u32>(16u), scales));
        continue;
      }
      let w4 = ownWeights(rowW, k, scales);
      // All loads before all products: llvmpipe branches at each, puts products behind the last, and what they share into memory.
      let x0 = heldGroup(&x_RK, rows0, k);
      var x1 : Held;
      var x2 : Held;
      var x3 : Held;
      if (ROWS > 8u) { x1 = heldGroup(&x_RK, rows1, k); }
      if (ROWS > 16u) {
        x2 = heldGroup(&x_RK, rows2, k);
        x3 = heldGroup(&x_RK, rows3, k);
      }
      sums0 = eight(sums0, x0, w4);
      if (ROWS > 8u) { sums1 = eight(sums1, x1, w4); }
      if (ROWS > 16u) {
        sums2 = eight(sums2, x2, w4);
        sums3 = eight(sums3, x3, w4);
      }
    }
  }
  if (ROWS > 8u) {
    for (var first = 0u; first < fewGroups; first += params.blockGroups) {
      if (FORMAT > 2u) { scales = halved(ownScales((rowW + first) / 8u)); }
      for (var k = first; k < first + params.blockGroups; k += 1u) {
        let w4 = ownWeights(rowW, k, scales);
        let x0 = heldGroup(&x_RK, rows0, k);
        var x1 : Held;
        if (ROWS > 16u) { x1 = heldGroup(&x_RK, rows1, k); }
        sums0 = eight(sums0, x0, w4);
        if (ROWS > 16u) { sums1 = eight(sums1, x1, w4); }
      }
    }
  }
  if (FORMAT > 2u || WIDE) { scales = vec4<f32>(1.0); }
  // A loop over an array, small to compile, since it runs once.
  var results = array<Eight, 4>(sums0, sums1, sums2, sums3);
  for (var i = 0u; i < tile.z - tile.y; i += 1u) {
    if ((i & 4u) == 0u) { storeFour(tile.x, tile.y + i, n, results[i / 8u].low[i & 3u] * scales); }
    else { storeFour(tile.x, tile.y + i, n, results[i / 8u].high[i & 3u] * scales); }
  }
}
