// Splits a joint projection row [q heads | k heads | v heads]: q turns into its own array, k turns into the
// KV cache, v goes into the KV cache as it is. Pairs are (i, i + Dh/2).
// Grid    a thread per (row, head of q, k or v, PAIRS pairs), spread over y beyond 65,535 workgroups.
// Memory  each element once; cos and sin come from a table made in f64, exact at any position.
// Order   elementwise; with KV_F16 rounded to the nearest half, two to a word.
// Edges   Dh / 2 is a multiple of PAIRS. place_T[t] says which row of the cache token t owns.

const WG : u32 = 64u;           // spec: threads per workgroup
const PAIRS : u32 = 1u;         // spec: pairs of a thread, 1 or 2
const KV_F16 : bool = false;    // spec: the cache holds packed halves, which needs two pairs

struct Params { numRows : u32, numHeads : u32, numKvHeads : u32, headDim : u32 }

@group(0) @binding(0) var<storage, read> qkv_TC : array<f32>;         // C = (H + 2 Hkv) Dh
@group(0) @binding(1) var<storage, read> table_PI : array<vec2<f32>>;  // cos, sin by position and pair
@group(0) @binding(2) var<storage, read> place_T : array<vec2<u32>>;   // position, cache row
@group(0) @binding(3) var<storage, read_write> q_THD : array<f32>;
@group(0) @binding(4) var<storage, read_write> kCache : array<u32>;    // [rows, Hkv, Dh]
@group(0) @binding(5) var<storage, read_write> vCache : array<u32>;    // [rows, Hkv, Dh]
@group(1) @binding(0) var<uniform> params : Params;

fn storeK(to : u32, x : vec2<f32>) {
  if (KV_F16) {
    kCache[to / 2u] = pack2x16float(x);
    return;
  }
  kCache[to] = bitcast<u32>(x.x);
  if (PAIRS > 1u) { kCache[to + 1u] = bitcast<u32>(x.y); }
}

fn storeV(to : u32, x : vec2<f32>) {
  if (KV_F16) {
    vCache[to / 2u] = pack2x16float(x);
    return;
  }
  vCache[to] = bitcast<u32>(x.x);
  if (PAIRS > 1u) { vCache[to + 1u] = bitcast<u32>(x.y); }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let half = params.headDim / 2u;
  let perHead = half / PAIRS;
  let heads = params.numHeads + 2u * params.numKvHeads;
  let index = (group.y * groups.x + group.x) * WG + lane;
  if (index >= params.numRows * heads * perHead) { return; }
  let i = index % perHead * PAIRS;
  let h = (index / perHead) % heads;
  let t = index / (perHead * heads);
  let place = place_T[t];
  let src = (t * heads + h) * params.headDim + i;
  var a = vec2<f32>(qkv_TC[src], 0.0);
  var b = vec2<f32>(qkv_TC[src + half], 0.0);
  let turn = table_PI[place.x * half + i];
  var cosines = vec2<f32>(turn.x, 0.0);
  var sines = vec2<f32>(turn.y, 0.0);
  if (PAIRS > 1u) {
    a.y = qkv_TC[src + 1u];
    b.y = qkv_TC[src + half + 1u];
    let next = table_PI[place.x * half + i + 1u];
    cosines.y = next.x;
    sines.y = next.y;
  }
  let low = a * cosines - b * sines;
  let high = b * cosines + a * sines;
  if (h < params.numHeads) {
    let to = (t * params.numHeads + h) * params.headDim + i;
    q_THD[to] = low.x;
    q_THD[to + half] = high.x;
    if (PAIRS > 1u) {
      q_THD[to + 1u] = low.y;
      q_THD[to + half + 1u] = high.y;
    }
  } else if (h < params.numHeads + params.numKvHeads) {
    let to = (place.y * params.numKvHeads + h - params.numHeads) * params.headDim + i;
    storeK(to, low);
    storeK(to + half, high);
  } else {
    let to = (place.y * params.numKvHeads + h - params.numHeads - params.numKvHeads) * params.headDim + i;
    storeV(to, a);
    storeV(to + half, b);
  }
}
