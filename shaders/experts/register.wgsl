// Grouped GEMM with the epilogue of an expert: for each row r of expert e,
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n]) * (w3[e,n] . x[r] + bias[e,N+n])   (gated)
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n])                                     (not gated).
// Grid    x: columns by THREADS_N*REG_N, y: tiles of REG_M*THREADS_M rows; a thread owns REG_M x REG_N outputs.
// Memory  vec4 loads along k straight into registers; no workgroup storage, so no barrier.
// Order   four partial sums (k mod 4), each ascending, added as (0+1)+(2+3): the same bits on every run.
// Edges   K must be a multiple of 4; rows and columns outside are clamped for the loads and never stored.

const THREADS_M : u32 = 2u;     // spec: threads along the rows of a tile
const THREADS_N : u32 = 16u;    // spec: threads along n
const REG_M : u32 = 4u;         // spec: rows per thread
const REG_N : u32 = 2u;         // spec: columns per thread
const W_F16 : bool = false;     // spec: weights hold packed f16 instead of f32
const GATED : bool = true;      // spec: multiply by the up projection w3
const BIASED : bool = false;    // spec: add the bias
const ACT : u32 = 1u;           // spec: 0 identity, 1 silu, 2 gelu (tanh), 3 relu, 4 clamped SwiGLU

struct Params { depth : u32, numCols : u32, alpha : f32, beta : f32, limit : f32 }

@group(0) @binding(0) var<storage, read> x_RK : array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> w1_ENK : array<vec4<u32>>;  // four f32, or eight f16
@group(0) @binding(2) var<storage, read> w3_ENK : array<vec4<u32>>;  // bound to w1 when not gated
@group(0) @binding(3) var<storage, read> bias_E2N : array<f32>;      // [E, 2N] when gated, else [E, N]
@group(0) @binding(4) var<storage, read> tiles : array<vec4<u32>>;   // expert, first row, end row, -
@group(0) @binding(5) var<storage, read_write> y_RN : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

fn widen(words : vec4<u32>, index : u32) -> vec4<f32> {
  if (W_F16) {
    let pair = select(words.xy, words.zw, (index & 1u) == 1u);
    return vec4<f32>(unpack2x16float(pair.x), unpack2x16float(pair.y));
  }
  return bitcast<vec4<f32>>(words);
}

// Four weights from the index of their group of four.
fn gateWeight4(index : u32) -> vec4<f32> { return widen(w1_ENK[select(index, index >> 1u, W_F16)], index); }
fn upWeight4(index : u32) -> vec4<f32> { return widen(w3_ENK[select(index, index >> 1u, W_F16)], index); }

fn sigmoid(v : f32) -> f32 { return 1.0 / (1.0 + exp(-v)); }

// tanh saturates long before its argument overflows exp.
fn gelu(v : f32) -> f32 {
  return 0.5 * v * (1.0 + tanh(clamp(0.7978845608028654 * (v + 0.044715 * v * v * v), -20.0, 20.0)));
}

fn epilogue(gate : f32, up : f32) -> f32 {
  if (ACT == 4u) {
    let g = min(gate, params.limit);
    return g * sigmoid(params.alpha * g) * (clamp(up, -params.limit, params.limit) + params.beta);
  }
  var v = gate;
  if (ACT == 1u) { v = gate * sigmoid(gate); }
  if (ACT == 2u) { v = gelu(gate); }
  if (ACT == 3u) { v = max(gate, 0.0); }
  if (GATED) { v *= up; }
  return v;
}

// Bias of the gate (0) or up (1) projection of column n.
fn bias(expert : u32, n : u32, which : u32) -> f32 {
  if (!BIASED) { return 0.0; }
  let width = select(params.numCols, 2u * params.numCols, GATED);
  return bias_E2N[expert * width + which * params.numCols + n];
}

fn total(v : vec4<f32>) -> f32 { return (v.x + v.y) + (v.z + v.w); }

@compute @workgroup_size(THREADS_N, THREADS_M)
fn main(@builtin(global_invocation_id) gid : vec3<u32>,
        @builtin(workgroup_id) group : vec3<u32>,
        @builtin(local_invocation_id) local : vec3<u32>) {
  let tile = tiles[group.y];
  let firstRow = tile.y + local.y * REG_M;
  let firstCol = gid.x * REG_N;
  if (firstRow >= tile.z || firstCol >= params.numCols) { return; }
  let depth4 = params.depth / 4u;
  var rowX : array<u32, REG_M>;
  var rowW : array<u32, REG_N>;
  for (var i = 0u; i < REG_M; i += 1u) { rowX[i] = min(firstRow + i, tile.z - 1u) * depth4; }
  for (var j = 0u; j < REG_N; j += 1u) {
    rowW[j] = (tile.x * params.numCols + min(firstCol + j, params.numCols - 1u)) * depth4;
  }
  var gate : array<vec4<f32>, REG_M * REG_N>;
  var up : array<vec4<f32>, REG_M * REG_N>;
  for (var k = 0u; k < depth4; k += 1u) {
    var x : array<vec4<f32>, REG_M>;
    for (var i = 0u; i < REG_M; i += 1u) { x[i] = x_RK[rowX[i] + k]; }
    for (var j = 0u; j < REG_N; j += 1u) {
      let w1 = gateWeight4(rowW[j] + k);
      for (var i = 0u; i < REG_M; i += 1u) { gate[i * REG_N + j] = fma(x[i], w1, gate[i * REG_N + j]); }
      if (GATED) {
        let w3 = upWeight4(rowW[j] + k);
        for (var i = 0u; i < REG_M; i += 1u) { up[i * REG_N + j] = fma(x[i], w3, up[i * REG_N + j]); }
      }
    }
  }
  for (var i = 0u; i < REG_M; i += 1u) {
    for (var j = 0u; j < REG_N; j += 1u) {
      let row = firstRow + i;
      let n = firstCol + j;
      if (row < tile.z && n < params.numCols) {
        let g = total(gate[i * REG_N + j]) + bias(tile.x, n, 0u);
        var u = 0.0;
        if (GATED) { u = total(up[i * REG_N + j]) + bias(tile.x, n, 1u); }
        y_RN[row * params.numCols + n] = epilogue(g, u);
      }
    }
  }
}
