// Grouped GEMM with the epilogue of an expert: for each row r of expert e,
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n]) * (w3[e,n] . x[r] + bias[e,N+n])   (gated)
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n])                                     (not gated).
// Grid    x: columns by COLUMNS, y: tiles; the lanes of a workgroup share 8 rows of weights, each along its own part of
//         k: of 8 columns, or of 4 columns of both projections when gated.
// Memory  neighbouring lanes load neighbouring vec4 of weights and of x; a vec4 of x serves 8 rows of weights. Sums of
//         lanes pass through workgroup storage once per row.
// Order   a lane's chunks ascending, then lane by lane or run by run of 8: the same bits on every run.
// Edges   K is a multiple of a chunk: 4 values for f32, 8 f16, 16 int8, 32 int4 and MXFP4. DIRECT takes no tiles: row r
//         is choice r, of expert tiles[r], and row r / K of x, so that few tokens need no plan.

requires unrestricted_pointer_parameters;

const WG : u32 = 32u;           // spec: lanes per workgroup
const DIRECT : bool = false;    // spec: `tiles` holds the expert of each row
const NO_SLOT : u32 = 0xffffffffu;   // of a choice without an expert, whose row nobody reads
const COLUMNS : u32 = 4u;       // spec: 4 when gated, else 8
const GROUPS : u32 = 1u;        // spec: groups of four values in a vec4<u32> of weights: 1, 2, 4, 8, 8
const TWO_STEPS : bool = false; // spec: sums of lanes meet in two steps, of 8 lanes each where there are 64
const FORMAT : u32 = 0u;        // spec: of the weights: 0 f32, 1 f16, 2 int8, 3 int4, 4 MXFP4, 5 the same by way of f16
const BF16 : bool = false;      // spec: what format 1 holds is bf16
const WIDE : bool = false;      // spec: products with a whole scale may leave f32: half of it at a time
const GATED : bool = true;      // spec: multiply by the up projection w3
const BIASED : bool = false;    // spec: add the bias
const GATHER : bool = false;    // spec: row r of the tiles is row rowSource[r] of x
const ACT : u32 = 1u;           // spec: 0 identity, 1 silu, 2 gelu (tanh), 3 relu, 4 clamped SwiGLU

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
@group(0) @binding(2) var<storage, read> w1_ENK : array<vec4<u32>>;   // values, then from word scaleStart on the scales
@group(0) @binding(3) var<storage, read> w3_ENK : array<vec4<u32>>;   // bound to w1 when not gated
@group(0) @binding(4) var<storage, read> bias_E2N : array<f32>;          // [E, 2N] when gated, else [E, N]
@group(0) @binding(5) var<storage, read> tiles : array<u32>;             // expert, first row, end row, -; or each row's expert
@group(0) @binding(6) var<storage, read_write> y_RN : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

// Partial sums of lanes for eight outputs, rows a word apart from a multiple of the banks where all lanes read them.
const ROW : u32 = WG + u32(TWO_STEPS);
const SHARE : u32 = max(WG / 8u, 1u);   // lanes for an output in the first step
var<workgroup> partial : array<f32, 8u * ROW>;
var<workgroup> ofRun : array<f32, WG>;

// What one vec4<u32> of weights is multiplied with: 4 values of x for f32, 8 for f16, 16 for int8, 32 for nibbles.
struct Chunk {
  x0 : vec4<f32>, x1 : vec4<f32>, x2 : vec4<f32>, x3 : vec4<f32>,
  x4 : vec4<f32>, x5 : vec4<f32>, x6 : vec4<f32>, x7 : vec4<f32>,
}

// The chunk of x whose first group of four is `group`.
fn chunkAt(x : ptr<storage, array<vec4<f32>>, read>, group : u32) -> Chunk {
  var c : Chunk;
  c.x0 = (*x)[group];
  if (GROUPS > 1u) { c.x1 = (*x)[group + 1u]; }
  if (GROUPS > 2u) {
    c.x2 = (*x)[group + 2u];
    c.x3 = (*x)[group + 3u];
  }
  if (GROUPS > 4u) {
    c.x4 = (*x)[group + 4u];
    c.x5 = (*x)[group + 5u];
    c.x6 = (*x)[group + 6u];
    c.x7 = (*x)[group + 7u];
  }
  return c;
}

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

// A chunk times a scale.
fn scaledBy(c : Chunk, scale : f32) -> Chunk {
  let f = halvesOf(scale);
  return Chunk(c.x0 * f.y * f.x, c.x1 * f.y * f.x, c.x2 * f.y * f.x, c.x3 * f.y * f.x,
               c.x4 * f.y * f.x, c.x5 * f.y * f.x, c.x6 * f.y * f.x, c.x7 * f.y * f.x);
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

// The products of a chunk, summed, with weights that are not yet scaled.
fn chunkDot(c : Chunk, w : vec4<u32>) -> f32 {
  if (FORMAT == 0u) { return dot(c.x0, bitcast<vec4<f32>>(w)); }
  if (FORMAT == 1u) { return dot(c.x0, halves4(w.x, w.y)) + dot(c.x1, halves4(w.z, w.w)); }
  if (FORMAT == 2u) {
    return (dot(c.x0, bytes4(w.x)) + dot(c.x1, bytes4(w.y))) + (dot(c.x2, bytes4(w.z)) + dot(c.x3, bytes4(w.w)));
  }
  let v0 = nibbles8(w.x);
  let v1 = nibbles8(w.y);
  let v2 = nibbles8(w.z);
  let v3 = nibbles8(w.w);
  return ((dot(c.x0, v0[0]) + dot(c.x1, v0[1])) + (dot(c.x2, v1[0]) + dot(c.x3, v1[1])))
       + ((dot(c.x4, v2[0]) + dot(c.x5, v2[1])) + (dot(c.x6, v3[0]) + dot(c.x7, v3[1])));
}

// Scale `index` of all.
fn scale(weights : ptr<storage, array<vec4<u32>>, read>, index : u32) -> f32 {
  let at = params.scaleStart + index;
  return bitcast<f32>((*weights)[at >> 2u][at & 3u]);
}

// Chunk `c` of row `row` of the weights times x, with the scale of its block. A row has `chunks`.
fn insideDot(weights : ptr<storage, array<vec4<u32>>, read>, x : Chunk, row : u32, c : u32, chunks : u32) -> f32 {
  let at = row * chunks + c;
  if (WIDE) { return chunkDot(scaledBy(x, scale(weights, select(at, row, FORMAT == 2u))), (*weights)[at]); }
  let sum = chunkDot(x, (*weights)[at]);
  if (FORMAT < 3u) { return sum; }
  return sum * scale(weights, at);
}

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

// The first of two steps in which sums of lanes meet: of eight lanes side by side, for one of the eight outputs.
fn sumOfRun(lane : u32) -> f32 {
  let first = lane / SHARE * ROW + lane % SHARE * 8u;
  var sum = 0.0;
  for (var i = 0u; i < 8u; i += 1u) { sum += partial[first + i]; }
  return sum;
}

// The sum of all lanes for the j-th of the eight outputs.
fn laneTotal(j : u32) -> f32 {
  var sum = 0.0;
  if (TWO_STEPS) {
    for (var i = 0u; i < SHARE; i += 1u) { sum += ofRun[j * SHARE + i]; }
    return sum;
  }
  for (var i = 0u; i < WG; i += 1u) { sum += partial[j * ROW + i]; }
  return sum;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  var expert = tiles[group.y];
  if (DIRECT && expert == NO_SLOT) { return; }
  var row = group.y;
  var end = group.y + 1u;
  if (!DIRECT) {
    expert = tiles[4u * group.y];
    row = tiles[4u * group.y + 1u];
    end = tiles[4u * group.y + 2u];
  }
  let n = group.x * COLUMNS;
  let first = expert * params.numCols;
  let own = vec4<u32>(n, n + 1u, n + 2u, n + 3u);
  let last = vec4<u32>(params.numCols - 1u);
  // Rows of w1, and of w1 or w3.
  let a = vec4<u32>(first) + min(own, last);
  let b = vec4<u32>(first) + min(own + vec4<u32>(COLUMNS - 4u), last);
  let groupsOfRow = params.depth / 4u;
  let chunks = groupsOfRow / GROUPS;
  for (; row < end; row += 1u) {
    var source = row / params.topK;
    if (!DIRECT) { source = sourceOf(row); }
    var low = vec4<f32>();
    var high = vec4<f32>();
    for (var c = lane; c < chunks; c += WG) {
      let x = chunkAt(&x_RK, source * groupsOfRow + c * GROUPS);
      low += vec4<f32>(insideDot(&w1_ENK, x, a.x, c, chunks), insideDot(&w1_ENK, x, a.y, c, chunks),
                       insideDot(&w1_ENK, x, a.z, c, chunks), insideDot(&w1_ENK, x, a.w, c, chunks));
      if (GATED) {
        high += vec4<f32>(insideDot(&w3_ENK, x, b.x, c, chunks), insideDot(&w3_ENK, x, b.y, c, chunks),
                          insideDot(&w3_ENK, x, b.z, c, chunks), insideDot(&w3_ENK, x, b.w, c, chunks));
      } else {
        high += vec4<f32>(insideDot(&w1_ENK, x, b.x, c, chunks), insideDot(&w1_ENK, x, b.y, c, chunks),
                          insideDot(&w1_ENK, x, b.z, c, chunks), insideDot(&w1_ENK, x, b.w, c, chunks));
      }
    }
    // In two steps, the second has a barrier before it already.
    if (!TWO_STEPS) { workgroupBarrier(); }
    for (var i = 0u; i < 4u; i += 1u) {
      partial[i * ROW + lane] = low[i];
      partial[(4u + i) * ROW + lane] = high[i];
    }
    workgroupBarrier();
    if (TWO_STEPS) {
      ofRun[lane] = sumOfRun(lane);
      workgroupBarrier();
    }
    for (var j = lane; j < min(COLUMNS, params.numCols - n); j += WG) {
      var gate = laneTotal(j);
      var up = 0.0;
      if (FORMAT == 2u && !WIDE) { gate *= scale(&w1_ENK, first + n + j); }
      if (GATED) {
        up = laneTotal(4u + j);
        if (FORMAT == 2u && !WIDE) { up *= scale(&w3_ENK, first + n + j); }
        up += bias(expert, n + j, 1u);
      }
      y_RN[row * params.numCols + n + j] = epilogue(gate + bias(expert, n + j, 0u), up);
    }
  }
}
