// Grouped GEMM with the epilogue of an expert: for each row r of expert e,
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n]) * (w3[e,n] . x[r] + bias[e,N+n])   (gated)
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n])                                     (not gated).
// Grid    x: columns by 4 WG, y: tiles of at most 8 rows; a lane owns 8 rows of 4 columns.
// Memory  each lane loads weights for its own columns; the rows of x are loaded once per subgroup, a row per lane,
//         and broadcast. No workgroup storage, so no barrier.
// Order   k ascending by fours, each four as ((0+1)+2)+3: the same bits on every run, whatever the subgroup size.
// Edges   K must be a multiple of 4; rows and columns outside are clamped for the loads and never stored.
//         Subgroups have at least 8 / HELD lanes; no lane leaves early, since all take part in broadcasts.

enable subgroups;

const WG : u32 = 32u;           // spec: lanes per workgroup, a multiple of 8
const HELD : u32 = 1u;          // spec: rows of x that a lane holds: 1, or 2 for subgroups of 4 lanes
const W_F16 : bool = false;     // spec: weights hold packed f16 instead of f32
const GATED : bool = true;      // spec: multiply by the up projection w3
const BIASED : bool = false;    // spec: add the bias
const ACT : u32 = 1u;           // spec: 0 identity, 1 silu, 2 gelu (tanh), 3 relu, 4 clamped SwiGLU

const LANES : u32 = 8u / HELD;

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

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid : vec3<u32>,
        @builtin(workgroup_id) group : vec3<u32>,
        @builtin(subgroup_invocation_id) lane : u32) {
  let tile = tiles[group.y];
  if (tile.y >= tile.z) { return; }
  let n = gid.x * 4u;
  let depth4 = params.depth / 4u;
  let held0 = min(tile.y + lane % LANES, tile.z - 1u) * depth4;
  let held1 = min(tile.y + LANES + lane % LANES, tile.z - 1u) * depth4;
  let cols = min(vec4<u32>(n, n + 1u, n + 2u, n + 3u), vec4<u32>(params.numCols - 1u));
  let rowW = (vec4<u32>(tile.x * params.numCols) + cols) * depth4;
  var gate0 = vec4<f32>();
  var gate1 = vec4<f32>();
  var gate2 = vec4<f32>();
  var gate3 = vec4<f32>();
  var gate4 = vec4<f32>();
  var gate5 = vec4<f32>();
  var gate6 = vec4<f32>();
  var gate7 = vec4<f32>();
  var up0 = vec4<f32>();
  var up1 = vec4<f32>();
  var up2 = vec4<f32>();
  var up3 = vec4<f32>();
  var up4 = vec4<f32>();
  var up5 = vec4<f32>();
  var up6 = vec4<f32>();
  var up7 = vec4<f32>();
  for (var k = 0u; k < depth4; k += 1u) {
    let a0 = x_RK[held0 + k];
    var a1 = a0;
    if (HELD == 2u) { a1 = x_RK[held1 + k]; }
    let x0 = subgroupBroadcast(a0, 0u);
    let x1 = subgroupBroadcast(a0, 1u);
    let x2 = subgroupBroadcast(a0, 2u);
    let x3 = subgroupBroadcast(a0, 3u);
    var x4 : vec4<f32>;
    var x5 : vec4<f32>;
    var x6 : vec4<f32>;
    var x7 : vec4<f32>;
    if (HELD == 2u) {
      x4 = subgroupBroadcast(a1, 0u);
      x5 = subgroupBroadcast(a1, 1u);
      x6 = subgroupBroadcast(a1, 2u);
      x7 = subgroupBroadcast(a1, 3u);
    } else {
      x4 = subgroupBroadcast(a0, 4u);
      x5 = subgroupBroadcast(a0, 5u);
      x6 = subgroupBroadcast(a0, 6u);
      x7 = subgroupBroadcast(a0, 7u);
    }
    {
      let w0 = gateWeight4(rowW.x + k);
      let w1 = gateWeight4(rowW.y + k);
      let w2 = gateWeight4(rowW.z + k);
      let w3 = gateWeight4(rowW.w + k);
      gate0 += products(x0, w0, w1, w2, w3);
      gate1 += products(x1, w0, w1, w2, w3);
      gate2 += products(x2, w0, w1, w2, w3);
      gate3 += products(x3, w0, w1, w2, w3);
      gate4 += products(x4, w0, w1, w2, w3);
      gate5 += products(x5, w0, w1, w2, w3);
      gate6 += products(x6, w0, w1, w2, w3);
      gate7 += products(x7, w0, w1, w2, w3);
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
      up4 += products(x4, w0, w1, w2, w3);
      up5 += products(x5, w0, w1, w2, w3);
      up6 += products(x6, w0, w1, w2, w3);
      up7 += products(x7, w0, w1, w2, w3);
    }
  }
  store(tile, tile.y, n, gate0, up0);
  store(tile, tile.y + 1u, n, gate1, up1);
  store(tile, tile.y + 2u, n, gate2, up2);
  store(tile, tile.y + 3u, n, gate3, up3);
  store(tile, tile.y + 4u, n, gate4, up4);
  store(tile, tile.y + 5u, n, gate5, up5);
  store(tile, tile.y + 6u, n, gate6, up6);
  store(tile, tile.y + 7u, n, gate7, up7);
}
