// c[m,n] = sum over k of a[m,k] * b[n,k], plus bias[n] where there is one.
// Grid    a workgroup covers TILE_M x TILE_N outputs; a thread owns REG_M x REG_N of them.
// Memory  both operands pass through workgroup storage, TILE_K deep, rows padded by one word against bank conflicts.
// Order   k ascending in every thread: the same bits on every run.
// Edges   any M, N, K: what lies outside is loaded as zero and never stored.

requires unrestricted_pointer_parameters;

const THREADS_M : u32 = 8u;     // spec: threads along m
const THREADS_N : u32 = 8u;     // spec: threads along n
const REG_M : u32 = 4u;         // spec: rows per thread
const REG_N : u32 = 4u;         // spec: columns per thread
const TILE_K : u32 = 16u;       // spec: depth of one tile
const FORMAT : u32 = 0u;        // spec: of b: 0 f32, 1 f16, 2 int8, 3 int4, 4 MXFP4, 5 the same by way of f16
const BF16 : bool = false;      // spec: what format 1 holds is bf16
const WIDE : bool = false;      // spec: products with a whole scale may leave f32: half of it at a time
const BIASED : bool = false;    // spec: add a bias per column

const TILE_M : u32 = THREADS_M * REG_M;
const TILE_N : u32 = THREADS_N * REG_N;
const THREADS : u32 = THREADS_M * THREADS_N;
const STRIDE : u32 = TILE_K + 1u;

struct Params { numRows : u32, numCols : u32, depth : u32, scaleStart : u32, blockGroups : u32 }

@group(0) @binding(0) var<storage, read> a_MK : array<f32>;
@group(0) @binding(1) var<storage, read> b_NK : array<u32>;   // values, then from word scaleStart on the scales
@group(0) @binding(2) var<storage, read_write> c_MN : array<f32>;
@group(0) @binding(3) var<storage, read> bias_N : array<f32>;   // bound to a when absent
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> tileA : array<f32, TILE_M * STRIDE>;
var<workgroup> tileB : array<f32, TILE_N * STRIDE>;

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

@compute @workgroup_size(THREADS_N, THREADS_M)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(local_invocation_id) local : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let firstRow = group.y * TILE_M;
  let firstCol = group.x * TILE_N;
  var sums : array<f32, REG_M * REG_N>;
  for (var k0 = 0u; k0 < params.depth; k0 += TILE_K) {
    for (var i = lane; i < TILE_M * TILE_K; i += THREADS) {
      let row = firstRow + i / TILE_K;
      let k = k0 + i % TILE_K;
      var value = 0.0;
      if (row < params.numRows && k < params.depth) { value = a_MK[row * params.depth + k]; }
      tileA[(i / TILE_K) * STRIDE + i % TILE_K] = value;
    }
    for (var i = lane; i < TILE_N * TILE_K; i += THREADS) {
      let col = firstCol + i / TILE_K;
      let k = k0 + i % TILE_K;
      var value = 0.0;
      if (col < params.numCols && k < params.depth) { value = weight(&b_NK, col * params.depth + k, col); }
      tileB[(i / TILE_K) * STRIDE + i % TILE_K] = value;
    }
    workgroupBarrier();
    // A tile lies within a block, so each column has one factor.
    var factors : array<f32, REG_N>;
    if (WIDE) {
      for (var j = 0u; j < REG_N; j += 1u) {
        let col = min(firstCol + j * THREADS_N + local.x, params.numCols - 1u);
        factors[j] = factor(&b_NK, col * params.depth + k0, col);
      }
    }
    for (var k = 0u; k < TILE_K; k += 1u) {
      var b : array<f32, REG_N>;
      for (var j = 0u; j < REG_N; j += 1u) { b[j] = tileB[(j * THREADS_N + local.x) * STRIDE + k]; }
      for (var i = 0u; i < REG_M; i += 1u) {
        let a = tileA[(i * THREADS_M + local.y) * STRIDE + k];
        for (var j = 0u; j < REG_N; j += 1u) {
          if (WIDE) { sums[i * REG_N + j] += a * factors[j] * b[j]; } else { sums[i * REG_N + j] += a * b[j]; }
        }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < REG_M; i += 1u) {
    let row = firstRow + i * THREADS_M + local.y;
    for (var j = 0u; j < REG_N; j += 1u) {
      let col = firstCol + j * THREADS_N + local.x;
      if (row < params.numRows && col < params.numCols) {
        var value = sums[i * REG_N + j];
        if (BIASED) { value += bias_N[col]; }
        c_MN[row * params.numCols + col] = value;
      }
    }
  }
}
