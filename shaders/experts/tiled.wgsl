// Grouped GEMM with the epilogue of an expert: for each row r of expert e,
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n]) * (w3[e,n] . x[r] + bias[e,N+n])   (gated)
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n])                                     (not gated).
// Grid    x: columns by TILE_N, y: tiles of TILE_M rows; a thread owns REG_M x REG_N outputs.
// Memory  operands pass through workgroup storage, TILE_K deep, rows padded by one word against bank conflicts.
// Order   k ascending in every thread: the same bits on every run.
// Edges   any K and N: what lies outside is loaded as zero and never stored; an unused tile has no rows.

requires unrestricted_pointer_parameters;

const THREADS_M : u32 = 8u;     // spec: threads along the rows of a tile
const THREADS_N : u32 = 8u;     // spec: threads along n
const REG_M : u32 = 2u;         // spec: rows per thread
const REG_N : u32 = 4u;         // spec: columns per thread
const TILE_K : u32 = 16u;       // spec: depth of one tile
const OPAQUE : bool = false;    // spec: for compilers that unroll what then spills: the loop over k has no known end
const FORMAT : u32 = 0u;        // spec: of the weights: 0 f32, 1 f16, 2 int8, 3 int4, 4 MXFP4, 5 the same by way of f16
const BF16 : bool = false;      // spec: what format 1 holds is bf16
const WIDE : bool = false;      // spec: products with a whole scale may leave f32: half of it at a time
const GATED : bool = true;      // spec: multiply by the up projection w3
const BIASED : bool = false;    // spec: add the bias
const GATHER : bool = false;    // spec: row r of the tiles is row rowSource[r] of x
const ACT : u32 = 1u;           // spec: 0 identity, 1 silu, 2 gelu (tanh), 3 relu, 4 clamped SwiGLU

const TILE_M : u32 = THREADS_M * REG_M;
const TILE_N : u32 = THREADS_N * REG_N;
const THREADS : u32 = THREADS_M * THREADS_N;
const STRIDE : u32 = TILE_K + 1u;

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

@group(0) @binding(0) var<storage, read> x_RK : array<f32>;
@group(0) @binding(1) var<storage, read> rowSource : array<u32>;         // bound to tiles when not gathered
@group(0) @binding(2) var<storage, read> w1_ENK : array<u32>;   // values, then from word scaleStart on the scales
@group(0) @binding(3) var<storage, read> w3_ENK : array<u32>;   // bound to w1 when not gated
@group(0) @binding(4) var<storage, read> bias_E2N : array<f32>;          // [E, 2N] when gated, else [E, N]
@group(0) @binding(5) var<storage, read> tiles : array<vec4<u32>>;       // expert, first row, end row, -
@group(0) @binding(6) var<storage, read_write> y_RN : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> tileX : array<f32, TILE_M * STRIDE>;
var<workgroup> tileGate : array<f32, TILE_N * STRIDE>;
var<workgroup> tileUp : array<f32, TILE_N * STRIDE>;

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

// Two values of 16 bits: f16, or bf16, which is the upper half of an f32.
fn halves2(word : u32) -> vec2<f32> {
  if (BF16) { return bitcast<vec2<f32>>(vec2<u32>(word << 16u, word & 0xffff0000u)); }
  return unpack2x16float(word);
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

@compute @workgroup_size(THREADS_N, THREADS_M)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(local_invocation_id) local : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let tile = tiles[group.y];
  let firstCol = group.x * TILE_N;
  var gate : array<f32, REG_M * REG_N>;
  var up : array<f32, REG_M * REG_N>;
  for (var k0 = 0u; k0 < params.depth; k0 += TILE_K) {
    for (var i = lane; i < TILE_M * TILE_K; i += THREADS) {
      let row = tile.y + i / TILE_K;
      let k = k0 + i % TILE_K;
      var value = 0.0;
      if (row < tile.z && k < params.depth) { value = x_RK[sourceOf(row) * params.depth + k]; }
      tileX[(i / TILE_K) * STRIDE + i % TILE_K] = value;
    }
    for (var i = lane; i < TILE_N * TILE_K; i += THREADS) {
      let n = firstCol + i / TILE_K;
      let k = k0 + i % TILE_K;
      let at = (i / TILE_K) * STRIDE + i % TILE_K;
      let inside = n < params.numCols && k < params.depth;
      let rowW = tile.x * params.numCols + n;
      let index = rowW * params.depth + k;
      var w1 = 0.0;
      if (inside) { w1 = weight(&w1_ENK, index, rowW); }
      tileGate[at] = w1;
      if (GATED) {
        var w3 = 0.0;
        if (inside) { w3 = weight(&w3_ENK, index, rowW); }
        tileUp[at] = w3;
      }
    }
    workgroupBarrier();
    // A tile lies within a block, so each column has one factor.
    var gateFactors : array<f32, REG_N>;
    var upFactors : array<f32, REG_N>;
    if (WIDE) {
      for (var j = 0u; j < REG_N; j += 1u) {
        let rowW = tile.x * params.numCols + min(firstCol + j * THREADS_N + local.x, params.numCols - 1u);
        gateFactors[j] = factor(&w1_ENK, rowW * params.depth + k0, rowW);
        if (GATED) { upFactors[j] = factor(&w3_ENK, rowW * params.depth + k0, rowW); }
      }
    }
    for (var k = 0u; k < select(TILE_K, min(TILE_K, TILE_K * params.depth), OPAQUE); k += 1u) {
      var x : array<f32, REG_M>;
      for (var i = 0u; i < REG_M; i += 1u) { x[i] = tileX[(i * THREADS_M + local.y) * STRIDE + k]; }
      for (var j = 0u; j < REG_N; j += 1u) {
        if (WIDE) {
          let w1 = tileGate[(j * THREADS_N + local.x) * STRIDE + k];
          for (var i = 0u; i < REG_M; i += 1u) { gate[i * REG_N + j] += x[i] * gateFactors[j] * w1; }
          if (GATED) {
            let w3 = tileUp[(j * THREADS_N + local.x) * STRIDE + k];
            for (var i = 0u; i < REG_M; i += 1u) { up[i * REG_N + j] += x[i] * upFactors[j] * w3; }
          }
          continue;
        }
        let w1 = tileGate[(j * THREADS_N + local.x) * STRIDE + k];
        for (var i = 0u; i < REG_M; i += 1u) { gate[i * REG_N + j] += x[i] * w1; }
        if (GATED) {
          let w3 = tileUp[(j * THREADS_N + local.x) * STRIDE + k];
          for (var i = 0u; i < REG_M; i += 1u) { up[i * REG_N + j] += x[i] * w3; }
        }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < REG_M; i += 1u) {
    let row = tile.y + i * THREADS_M + local.y;
    for (var j = 0u; j < REG_N; j += 1u) {
      let n = firstCol + j * THREADS_N + local.x;
      if (row < tile.z && n < params.numCols) {
        let g = gate[i * REG_N + j] + bias(tile.x, n, 0u);
        var u = 0.0;
        if (GATED) { u = up[i * REG_N + j] + bias(tile.x, n, 1u); }
        y_RN[row * params.numCols + n] = epilogue(g, u);
      }
    }
  }
}
