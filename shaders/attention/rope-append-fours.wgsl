// rope-append.wgsl with four pairs a thread: a joint projection row [q heads | k heads | v heads] turns into q and the KV
// cache. Pairs are (i, i + Dh/2).
// Grid    a thread per (row, head of q, k or v, four pairs), spread over y beyond 65,535 workgroups.
// Memory  each element once, by vec4; cos and sin come from a table made in f64, exact at any position.
// Order   elementwise; with KV_F16 rounded to the nearest half, two to a word.
// Edges   Dh is a multiple of 8. place_T[t] says which row of the cache token t owns.

const WG : u32 = 64u;           // spec: threads per workgroup
const KV_F16 : bool = false;    // spec: the cache holds packed halves
alias Four = vec4<u32>;         // spec: four values of the cache: vec4<u32> in f32, vec2<u32> with KV_F16
const LAST : u32 = 3u;          // spec: last word of Four

struct Params { numRows : u32, numHeads : u32, numKvHeads : u32, headDim : u32 }

@group(0) @binding(0) var<storage, read> qkv_TC : array<vec4<f32>>;    // C = (H + 2 Hkv) Dh
@group(0) @binding(1) var<storage, read> table_PI : array<vec4<f32>>;  // cos, sin of two pairs, by position and pair
@group(0) @binding(2) var<storage, read> place_T : array<vec2<u32>>;   // position, cache row
@group(0) @binding(3) var<storage, read_write> q_THD : array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> kCache : array<Four>;   // [rows, Hkv, Dh]
@group(0) @binding(5) var<storage, read_write> vCache : array<Four>;   // [rows, Hkv, Dh]
@group(1) @binding(0) var<uniform> params : Params;

// Four values as the cache holds them: four words, or two.
fn stored(v : vec4<f32>) -> Four {
  var bits = bitcast<vec4<u32>>(v);
  if (KV_F16) { bits = vec4<u32>(pack2x16float(v.xy), pack2x16float(v.zw), 0u, 0u); }
  var words : Four;
  words[LAST - 1u] = bits.z;
  words[LAST] = bits.w;
  words.x = bits.x;
  words.y = bits.y;
  return words;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let half = params.headDim / 8u;
  let heads = params.numHeads + 2u * params.numKvHeads;
  let index = (group.y * groups.x + group.x) * WG + lane;
  if (index >= params.numRows * heads * half) { return; }
  let i = index % half;
  let h = (index / half) % heads;
  let t = index / (half * heads);
  let place = place_T[t];
  let src = (t * heads + h) * 2u * half + i;
  let a = qkv_TC[src];
  let b = qkv_TC[src + half];
  let near = table_PI[(place.x * half + i) * 2u];
  let far = table_PI[(place.x * half + i) * 2u + 1u];
  let cosines = vec4<f32>(near.xz, far.xz);
  let sines = vec4<f32>(near.yw, far.yw);
  let low = a * cosines - b * sines;
  let high = b * cosines + a * sines;
  if (h < params.numHeads) {
    let to = (t * params.numHeads + h) * 2u * half + i;
    q_THD[to] = low;
    q_THD[to + half] = high;
  } else if (h < params.numHeads + params.numKvHeads) {
    let to = (place.y * params.numKvHeads + h - params.numHeads) * 2u * half + i;
    kCache[to] = stored(low);
    kCache[to + half] = stored(high);
  } else {
    let to = (place.y * params.numKvHeads + h - params.numHeads - params.numKvHeads) * 2u * half + i;
    vCache[to] = stored(a);
    vCache[to + half] = stored(b);
  }
}
