// o = softmax(scale * q k^T) v per query and head, queries being the last qLen of kvLen positions.
// Grid    x: queries, y: heads, z: sequences; a workgroup owns one query of one head: for decoding.
// Memory  a lane scores one key of each chunk of WG keys, then owns output columns lane, lane + WG, ...
// Order   online softmax over chunks in ascending order, trees of fixed shape: the same bits on every run.
// Edges   GQA and qLen as in plain.wgsl. Dh is a multiple of 4 and at most HEAD_DIM.

const WG : u32 = 64u;           // spec: lanes and keys per chunk, a power of two
const HEAD_DIM : u32 = 64u;     // spec: room for one head, at least Dh, a multiple of 4
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
}

@group(0) @binding(0) var<storage, read> q_THD : array<vec4<f32>>;           // [sum of qLen, H, Dh]
@group(0) @binding(1) var<storage, read> k_RHD : array<vec4<f32>>;           // [sequences * cacheLength, Hkv, Dh]
@group(0) @binding(2) var<storage, read> v_RHD : array<f32>;
@group(0) @binding(3) var<storage, read> sequences : array<vec4<u32>>; // first q row, qLen, kvLen, cache slot
@group(0) @binding(4) var<storage, read_write> o_THD : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> query : array<vec4<f32>, HEAD_DIM / 4u>;
var<workgroup> weights : array<f32, WG>;
var<workgroup> tree : array<f32, WG>;

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
  for (var first = 0u; first < numKeys; first += WG) {
    workgroupBarrier();
    let j = first + lane;
    var score = -3.4e38;
    if (j < numKeys) {
      score = 0.0;
      let row = (firstKey + j * strideKey) / 4u;
      for (var d = 0u; d < vecs; d += 1u) { score += dot(query[d], k_RHD[row + d]); }
    }
    tree[lane] = score;
    workgroupBarrier();
    for (var step = WG / 2u; step > 0u; step /= 2u) {
      if (lane < step) { tree[lane] = max(tree[lane], tree[lane + step]); }
      workgroupBarrier();
    }
    let highestOfChunk = max(highest, tree[0]);
    let p = select(0.0, exp(score - highestOfChunk), j < numKeys);
    workgroupBarrier();
    weights[lane] = p;
    tree[lane] = p;
    workgroupBarrier();
    for (var step = WG / 2u; step > 0u; step /= 2u) {
      if (lane < step) { tree[lane] += tree[lane + step]; }
      workgroupBarrier();
    }
    let shrink = exp(highest - highestOfChunk);
    highest = highestOfChunk;
    denominator = denominator * shrink + tree[0];
    let count = min(WG, numKeys - first);
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
