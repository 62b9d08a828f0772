// Grouped GEMM with the epilogue of an expert: for each row r of expert e,
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n]) * (w3[e,n] . x[r] + bias[e,N+n])   (gated)
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n])                                     (not gated).
// Grid    x: columns by WG, y: tiles of the tile list; a thread owns one column and walks the tile's rows.
// Memory  vec4 loads along k straight into registers; no workgroup storage, so no barrier.
// Order   four partial sums (k mod 4), each ascending, added as (0+1)+(2+3): the same bits on every run.
// Edges   K must be a multiple of 4; an unused tile has no rows.

const WG : u32 = 32u;           // spec: columns per workgroup
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

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid : vec3<u32>, @builtin(workgroup_id) group : vec3<u32>) {
  let tile = tiles[group.y];
  let n = gid.x;
  if (n >= params.numCols) { return; }
  let depth4 = params.depth / 4u;
  let rowW = (tile.x * params.numCols + n) * depth4;
  for (var row = tile.y; row < tile.z; row += 1u) {
    var gate = vec4<f32>();
    var up = vec4<f32>();
    for (var k = 0u; k < depth4; k += 1u) {
      let x = x_RK[row * depth4 + k];
      gate += x * gateWeight4(rowW + k);
      if (GATED) { up += x * upWeight4(rowW + k); }
    }
    let g = total(gate) + bias(tile.x, n, 0u);
    var u = 0.0;
    if (GATED) { u = total(up) + bias(tile.x, n, 1u); }
    y_RN[row * params.numCols + n] = epilogue(g, u);
  }
}
