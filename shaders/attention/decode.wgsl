// o = softmax(scale * q k^T) v per query and head, queries being the last qLen of kvLen positions.
// Grid    x: queries, y: heads, z: sequences; a workgroup owns one query of one head: for decoding.
// Memory  a lane scores keys lane, lane + WG, ... of each chunk, then owns output columns lane, lane + WG, ...
//         Scores and weights of a chunk pass through workgroup storage; every lane reads all of them.
// Order   online softmax over chunks in ascending order, keys ascending: the same bits on every run.
// Edges   GQA and qLen as in plain.wgsl. Dh is a multiple of 4 and at most HEAD_DIM.

const WG : u32 = 64u;           // spec: lanes
const CHUNK : u32 = 64u;        // spec: keys per chunk
const HEAD_DIM : u32 = 64u;     // spec: room for one head, at least Dh, a multiple of 4
const SINKS : bool = false;     // spec: each head has a sink
const SOFTCAP : bool = false;   // spec: scores are capped; compiled in, since CPU adapters run both sides of an if
const OWNED : u32 = (HEAD_DIM + WG - 1u) / WG;

struct Params {
  numHeads : u32,
  numKvHeads : u32,
  headDim : u32,
  cacheLength : u32,   // rows of one sequence in the KV cache
  maxQueries : u32,    // longest qLen of the batch: the grid's extent
  numSequences : u32,
  causal : u32,        // 1: query i of a sequence sees keys 0 .. kvLen - qLen + i
  scale : f32,
  window : u32,        // keys that a query sees at most, its own position included; 0: all
  softcap : f32,       // scores become softcap * tanh(score / softcap) with SOFTCAP
}

@group(0) @binding(0) var<storage, read> q_THD : array<vec4<f32>>;           // [sum of qLen, H, Dh]
@group(0) @binding(1) var<storage, read> k_RHD : array<vec4<f32>>;           // [sequences * cacheLength, Hkv, Dh]
@group(0) @binding(2) var<storage, read> v_RHD : array<f32>;
@group(0) @binding(3) var<storage, read> sequences : array<vec4<u32>>; // first q row, qLen, kvLen, cache slot
@group(0) @binding(4) var<storage, read_write> o_THD : array<f32>;
@group(0) @binding(5) var<storage, read> sinks_H : array<f32>;   // [H]; any buffer without SINKS
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> query : array<vec4<f32>, HEAD_DIM / 4u>;
var<workgroup> weights : array<f32, CHUNK>;

// By exp, since WGSL's tanh may be off by 1e-5.
fn capped(score : f32) -> f32 {
  if (!SOFTCAP) { return score; }
  let e = exp(2.0 * clamp(score / params.softcap, -20.0, 20.0));
  return params.softcap - 2.0 * params.softcap / (e + 1.0);
}

fn firstVisible(numKeys : u32) -> u32 {
  return select(0u, numKeys - min(numKeys, params.window), params.window > 0u);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let sequence = sequences[group.z];
  let i = group.x;
  if (i >= sequence.y) { return; }
  let h = group.y;
  let kvHead = h / (params.numHeads / params.numKvHeads);
  var numKeys = sequence.z;
  if (params.causal == 1u) { numKeys = sequence.z - sequence.y + i + 1u; }
  let rowQ = ((sequence.x + i) * params.numHeads + h) * params.headDim;
  let firstKey = (sequence.w * params.cacheLength * params.numKvHeads + kvHead) * params.headDim;
  let strideKey = params.numKvHeads * params.headDim;
  let vecs = params.headDim / 4u;
  for (var d = lane; d < vecs; d += WG) { query[d] = q_THD[rowQ / 4u + d] * params.scale; }
  var o : array<f32, OWNED>;
  var highest = -3.4e38;
  var denominator = 0.0;
  if (SINKS) {
    highest = max(highest, sinks_H[h]);
    denominator = 1.0;
  }
  for (var first = firstVisible(numKeys); first < numKeys; first += CHUNK) {
    let count = min(CHUNK, numKeys - first);
    workgroupBarrier();
    for (var key = lane; key < count; key += WG) {
      let row = (firstKey + (first + key) * strideKey) / 4u;
      var score = 0.0;
      for (var d = 0u; d < vecs; d += 1u) { score += dot(query[d], k_RHD[row + d]); }
      weights[key] = capped(score);
    }
    workgroupBarrier();
    let previous = highest;
    for (var key = 0u; key < count; key += 1u) { highest = max(highest, weights[key]); }
    workgroupBarrier();
    for (var key = lane; key < count; key += WG) { weights[key] = exp(weights[key] - highest); }
    workgroupBarrier();
    let shrink = exp(previous - highest);
    denominator *= shrink;
    for (var key = 0u; key < count; key += 1u) { denominator += weights[key]; }
    for (var own = 0u; own < OWNED; own += 1u) {
      let d = own * WG + lane;
      if (d < params.headDim) {
        var total = o[own] * shrink;
        for (var key = 0u; key < count; key += 1u) {
          total += weights[key] * v_RHD[firstKey + (first + key) * strideKey + d];
        }
        o[own] = total;
      }
    }
  }
  for (var own = 0u; own < OWNED; own += 1u) {
    let d = own * WG + lane;
    if (d < params.headDim) { o_THD[rowQ + d] = o[own] / denominator; }
  }
}
