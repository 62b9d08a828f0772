// Grouped GEMM with the epilogue of an expert: for each row r of expert e,
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n]) * (w3[e,n] . x[r] + bias[e,N+n])   (gated)
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n])                                     (not gated).
// Grid    x: columns by 4 THREADS_N, y: tiles of at most 4 THREADS_M rows; a thread owns 4 x 4 outputs.
// Memory  vec4 loads along k straight into registers; no workgroup storage, so no barrier.
// Order   k ascending by fours, each four as ((0+1)+2)+3: the same bits on every run.
// Edges   K must be a multiple of 4; rows and columns outside are clamped for the loads and never stored.
// The tile is written out by hand: an array indexed in a loop lives in memory on drivers that do not unroll.

const THREADS_M : u32 = 2u;     // spec: threads along the rows of a tile
const THREADS_N : u32 = 16u;    // spec: threads along n
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

// Products of one row of x with four rows of weights, summed over a group of four along k.
fn products(x : vec4<f32>, w0 : vec4<f32>, w1 : vec4<f32>, w2 : vec4<f32>, w3 : vec4<f32>) -> vec4<f32> {
  return vec4<f32>(
    x.x * w0.x + x.y * w0.y + x.z * w0.z + x.w * w0.w,
    x.x * w1.x + x.y * w1.y + x.z * w1.z + x.w * w1.w,
    x.x * w2.x + x.y * w2.y + x.z * w2.z + x.w * w2.w,
    x.x * w3.x + x.y * w3.y + x.z * w3.z + x.w * w3.w);
}

fn store(tile : vec4<u32>, row : u32, n : u32, gate : vec4<f32>, up : vec4<f32>) {
  if (row >= tile.z) { return; }
  for (var j = 0u; j < 4u; j += 1u) {
    if (n + j >= params.numCols) { return; }
    let g = gate[j] + bias(tile.x, n + j, 0u);
    var u = 0.0;
    if (GATED) { u = up[j] + bias(tile.x, n + j, 1u); }
    y_RN[row * params.numCols + n + j] = epilogue(g, u);
  }
}

@compute @workgroup_size(THREADS_N, THREADS_M)
fn main(@builtin(global_invocation_id) gid : vec3<u32>,
        @builtin(workgroup_id) group : vec3<u32>,
        @builtin(local_invocation_id) local : vec3<u32>) {
  let tile = tiles[group.y];
  let r = tile.y + local.y * 4u;
  let n = gid.x * 4u;
  if (r >= tile.z || n >= params.numCols) { return; }
  let depth4 = params.depth / 4u;
  let rowX = min(vec4<u32>(r, r + 1u, r + 2u, r + 3u), vec4<u32>(tile.z - 1u)) * depth4;
  let cols = min(vec4<u32>(n, n + 1u, n + 2u, n + 3u), vec4<u32>(params.numCols - 1u));
  let rowW = (vec4<u32>(tile.x * params.numCols) + cols) * depth4;
  var gate0 = vec4<f32>();
  var gate1 = vec4<f32>();
  var gate2 = vec4<f32>();
  var gate3 = vec4<f32>();
  var up0 = vec4<f32>();
  var up1 = vec4<f32>();
  var up2 = vec4<f32>();
  var up3 = vec4<f32>();
  for (var k = 0u; k < depth4; k += 1u) {
    let x0 = x_RK[rowX.x + k];
    let x1 = x_RK[rowX.y + k];
    let x2 = x_RK[rowX.z + k];
    let x3 = x_RK[rowX.w + k];
    {
      let w0 = gateWeight4(rowW.x + k);
      let w1 = gateWeight4(rowW.y + k);
      let w2 = gateWeight4(rowW.z + k);
      let w3 = gateWeight4(rowW.w + k);
      gate0 += products(x0, w0, w1, w2, w3);
      gate1 += products(x1, w0, w1, w2, w3);
      gate2 += products(x2, w0, w1, w2, w3);
      gate3 += products(x3, w0, w1, w2, w3);
    }
    if (GATED) {
      let w0 = upWeight4(rowW.x + k);
      let w1 = upWeight4(rowW.y + k);
      let w2 = upWeight4(rowW.z + k);
      let w3 = upWeight4(rowW.w + k);
      up0 += products(x0, w0, w1, w2, w3);
      up1 += products(x1, w0, w1, w2, w3);
      up2 += products(x2, w0, w1, w2, w3);
      up3 += products(x3, w0, w1, w2, w3);
    }
  }
  store(tile, r, n, gate0, up0);
  store(tile, r + 1u, n, gate1, up1);
  store(tile, r + 2u, n, gate2, up2);
  store(tile, r + 3u, n, gate3, up3);
}
