// Splits a joint projection row [q heads | k heads | v heads]: q turns into its own array, k turns into the
// KV cache, v goes into the KV cache as it is. Pairs are (i, i + Dh/2).
// Grid    a thread per (row, head of q, k or v, pair), spread over y beyond 65,535 workgroups.
// Memory  each element once; cos and sin come from a table made in f64, exact at any position.
// Order   elementwise.
// Edges   Dh even. cacheRow[t] says which row of the cache token t owns (sequence slot * length + position).

const WG : u32 = 64u;   // spec: threads per workgroup

struct Params { numRows : u32, numHeads : u32, numKvHeads : u32, headDim : u32 }

@group(0) @binding(0) var<storage, read> qkv_TC : array<f32>;         // C = (H + 2 Hkv) Dh
@group(0) @binding(1) var<storage, read> table_PI : array<vec2<f32>>;  // cos, sin by position and pair
@group(0) @binding(2) var<storage, read> place_T : array<vec2<u32>>;   // position, cache row
@group(0) @binding(3) var<storage, read_write> q_THD : array<f32>;
@group(0) @binding(4) var<storage, read_write> kCache : array<f32>;    // [rows, Hkv, Dh]
@group(0) @binding(5) var<storage, read_write> vCache : array<f32>;    // [rows, Hkv, Dh]
@group(1) @binding(0) var<uniform> params : Params;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let half = params.headDim / 2u;
  let heads = params.numHeads + 2u * params.numKvHeads;
  let index = (group.y * groups.x + group.x) * WG + lane;
  if (index >= params.numRows * heads * half) { return; }
  let i = index % half;
  let h = (index / half) % heads;
  let t = index / (half * heads);
  let place = place_T[t];
  let turn = table_PI[place.x * half + i];
  let src = (t * heads + h) * params.headDim + i;
  let a = qkv_TC[src];
  let b = qkv_TC[src + half];
  let turned = vec2<f32>(a * turn.x - b * turn.y, b * turn.x + a * turn.y);
  if (h < params.numHeads) {
    let to = (t * params.numHeads + h) * params.headDim + i;
    q_THD[to] = turned.x;
    q_THD[to + half] = turned.y;
  } else if (h < params.numHeads + params.numKvHeads) {
    let to = (place.y * params.numKvHeads + h - params.numHeads) * params.headDim + i;
    kCache[to] = turned.x;
    kCache[to + half] = turned.y;
  } else {
    let to = (place.y * params.numKvHeads + h - params.numHeads - params.numKvHeads) * params.headDim + i;
    vCache[to] = a;
    vCache[to + half] = b;
  }
}
