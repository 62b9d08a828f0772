// Grouped GEMM with the epilogue of an expert: for each row r of expert e,
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n]) * (w3[e,n] . x[r] + bias[e,N+n])   (gated)
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n])                                     (not gated).
// Grid    x: columns by WG_N, y: tiles of the tile list; a thread owns one column and walks the tile's rows.
// Memory  scalar loads straight from storage; no workgroup storage, so no barrier.
// Order   k = 0 .. K-1 in every thread: the same bits on every run.
// Edges   any K and N; an unused tile has no rows.

const WG_N : u32 = 64u;         // spec: columns per workgroup
const W_F16 : bool = false;     // spec: weights hold packed f16 instead of f32
const GATED : bool = true;      // spec: multiply by the up projection w3
const BIASED : bool = false;    // spec: add the bias
const ACT : u32 = 1u;           // spec: 0 identity, 1 silu, 2 gelu (tanh), 3 relu, 4 clamped SwiGLU

struct Params { depth : u32, numCols : u32, alpha : f32, beta : f32, limit : f32 }

@group(0) @binding(0) var<storage, read> x_RK : array<f32>;
@group(0) @binding(1) var<storage, read> w1_ENK : array<u32>;        // f32 bits, or two f16 per word
@group(0) @binding(2) var<storage, read> w3_ENK : array<u32>;        // bound to w1 when not gated
@group(0) @binding(3) var<storage, read> bias_E2N : array<f32>;      // [E, 2N] when gated, else [E, N]
@group(0) @binding(4) var<storage, read> tiles : array<vec4<u32>>;   // expert, first row, end row, -
@group(0) @binding(5) var<storage, read_write> y_RN : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

fn weight1(index : u32) -> f32 {
  if (W_F16) { return unpack2x16float(w1_ENK[index >> 1u])[index & 1u]; }
  return bitcast<f32>(w1_ENK[index]);
}

fn weight3(index : u32) -> f32 {
  if (W_F16) { return unpack2x16float(w3_ENK[index >> 1u])[index & 1u]; }
  return bitcast<f32>(w3_ENK[index]);
}

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

@compute @workgroup_size(WG_N)
fn main(@builtin(global_invocation_id) gid : vec3<u32>, @builtin(workgroup_id) group : vec3<u32>) {
  let tile = tiles[group.y];
  let n = gid.x;
  if (n >= params.numCols) { return; }
  let rowW = (tile.x * params.numCols + n) * params.depth;
  var biasGate = 0.0;
  var biasUp = 0.0;
  if (BIASED) {
    let width = select(params.numCols, 2u * params.numCols, GATED);
    biasGate = bias_E2N[tile.x * width + n];
    if (GATED) { biasUp = bias_E2N[tile.x * width + params.numCols + n]; }
  }
  for (var row = tile.y; row < tile.z; row += 1u) {
    let rowX = row * params.depth;
    var gate = 0.0;
    var up = 0.0;
    for (var k = 0u; k < params.depth; k += 1u) {
      let v = x_RK[rowX + k];
      gate += v * weight1(rowW + k);
      if (GATED) { up += v * weight3(rowW + k); }
    }
    y_RN[row * params.numCols + n] = epilogue(gate + biasGate, up + biasUp);
  }
}
