// c[m,n] = sum over k of a[m,k] * b[n,k].
// Grid    a workgroup covers TILE_M x TILE_N outputs; a thread owns REG_M x REG_N of them.
// Memory  both operands pass through workgroup storage, TILE_K deep, rows padded by one word against bank conflicts.
// Order   k ascending in every thread: the same bits on every run.
// Edges   any M, N, K: what lies outside is loaded as zero and never stored.

const THREADS_M : u32 = 8u;     // spec: threads along m
const THREADS_N : u32 = 8u;     // spec: threads along n
const REG_M : u32 = 4u;         // spec: rows per thread
const REG_N : u32 = 4u;         // spec: columns per thread
const TILE_K : u32 = 16u;       // spec: depth of one tile
const B_F16 : bool = false;     // spec: b holds packed f16 instead of f32

const TILE_M : u32 = THREADS_M * REG_M;
const TILE_N : u32 = THREADS_N * REG_N;
const THREADS : u32 = THREADS_M * THREADS_N;
const STRIDE : u32 = TILE_K + 1u;

struct Params { numRows : u32, numCols : u32, depth : u32 }

@group(0) @binding(0) var<storage, read> a_MK : array<f32>;
@group(0) @binding(1) var<storage, read> b_NK : array<u32>;   // f32 bits, or two f16 per word
@group(0) @binding(2) var<storage, read_write> c_MN : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> tileA : array<f32, TILE_M * STRIDE>;
var<workgroup> tileB : array<f32, TILE_N * STRIDE>;

fn weight(index : u32) -> f32 {
  if (B_F16) { return unpack2x16float(b_NK[index >> 1u])[index & 1u]; }
  return bitcast<f32>(b_NK[index]);
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
      if (col < params.numCols && k < params.depth) { value = weight(col * params.depth + k); }
      tileB[(i / TILE_K) * STRIDE + i % TILE_K] = value;
    }
    workgroupBarrier();
    for (var k = 0u; k < TILE_K; k += 1u) {
      var b : array<f32, REG_N>;
      for (var j = 0u; j < REG_N; j += 1u) { b[j] = tileB[(j * THREADS_N + local.x) * STRIDE + k]; }
      for (var i = 0u; i < REG_M; i += 1u) {
        let a = tileA[(i * THREADS_M + local.y) * STRIDE + k];
        for (var j = 0u; j < REG_N; j += 1u) { sums[i * REG_N + j] += a * b[j]; }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < REG_M; i += 1u) {
    let row = firstRow + i * THREADS_M + local.y;
    for (var j = 0u; j < REG_N; j += 1u) {
      let col = firstCol + j * THREADS_N + local.x;
      if (row < params.numRows && col < params.numCols) {
        c_MN[row * params.numCols + col] = sums[i * REG_N + j];
      }
    }
  }
}
