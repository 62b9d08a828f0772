// o = softmax(scale * q k^T) v per query and head, queries being the last qLen of kvLen positions.
// Grid    x: queries and slabs of 64 columns, y: heads, z: sequences; a subgroup of 8 lanes owns one row: decoding.
// Memory  lanes are keys for the scores and columns for the sums, so k and v are read once; weights are shuffled
//         within the subgroup. q is held in private memory. No workgroup storage, no barrier.
// Order   online softmax over tiles of 32 keys, ascending; in a tile t, t + 8, t + 16, t + 24 together: fixed.
// Edges   GQA and qLen as in plain.wgsl. Dh is a multiple of 4. Subgroups have at least 8 lanes.

enable subgroups;

const HEAD_VECS : u32 = 16u;    // spec: vec4 of one head, Dh / 4
const SINKS : bool = false;     // spec: each head has a sink
const SOFTCAP : bool = false;   // spec: scores are capped; compiled in, since CPU adapters run both sides of an if

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
@group(0) @binding(2) var<storage, read> v_RHD : array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> sequences : array<vec4<u32>>; // first q row, qLen, kvLen, cache slot
@group(0) @binding(4) var<storage, read_write> o_THD : array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> sinks_H : array<f32>;   // [H]; any buffer without SINKS
@group(1) @binding(0) var<uniform> params : Params;

const LOWEST : f32 = -3.4e38;
const STEPS : vec4<u32> = vec4<u32>(0u, 8u, 16u, 24u);

fn sum8(own : f32) -> f32 {
  var sum = own + subgroupShuffleXor(own, 1u);
  sum += subgroupShuffleXor(sum, 2u);
  return sum + subgroupShuffleXor(sum, 4u);
}

fn max8(own : f32) -> f32 {
  var highest = max(own, subgroupShuffleXor(own, 1u));
  highest = max(highest, subgroupShuffleXor(highest, 2u));
  return max(highest, subgroupShuffleXor(highest, 4u));
}

// By exp, since WGSL's tanh may be off by 1e-5.
fn capped(score : vec4<f32>) -> vec4<f32> {
  if (!SOFTCAP) { return score; }
  let e = exp(2.0 * clamp(score / params.softcap, vec4<f32>(-20.0), vec4<f32>(20.0)));
  return params.softcap - 2.0 * params.softcap / (e + 1.0);
}

fn firstVisible(numKeys : u32) -> u32 {
  return select(0u, numKeys - min(numKeys, params.window), params.window > 0u);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(subgroup_invocation_id) lane : u32) {
  let sequence = sequences[group.z];
  let slabs = (HEAD_VECS + 15u) / 16u;
  let i = group.x / slabs;
  let column = group.x % slabs * 16u + lane;
  let h = group.y;
  let kvHead = h / (params.numHeads / params.numKvHeads);
  var numKeys = sequence.z;
  if (params.causal == 1u) { numKeys = sequence.z - sequence.y + i + 1u; }
  if (i >= sequence.y) { numKeys = 0u; }
  let firstKey = (sequence.w * params.cacheLength * params.numKvHeads + kvHead) * HEAD_VECS;
  let strideKey = params.numKvHeads * HEAD_VECS;
  let columnA = min(column, HEAD_VECS - 1u);
  let columnB = min(column + 8u, HEAD_VECS - 1u);
  let rowO = ((sequence.x + i) * params.numHeads + h) * HEAD_VECS;
  // Bounds that the compiler cannot see keep it from unrolling.
  let vecs = params.headDim / 4u;
  let lanes = min(8u, 8u * params.numSequences);
  var q : array<vec4<f32>, HEAD_VECS>;
  for (var d = 0u; d < min(vecs, vecs * numKeys); d += 1u) { q[d] = q_THD[rowO + d] * params.scale; }
  var highest = LOWEST;
  var denominator = 0.0;
  if (SINKS) {
    highest = max(highest, sinks_H[h]);
    denominator = select(0.0, 1.0, lane == 0u);
  }
  var a = vec4<f32>();
  var b = vec4<f32>();
  for (var first = firstVisible(numKeys); first < numKeys; first += 32u) {
    let key = first + lane + STEPS;
    let rowK = firstKey + min(key, vec4<u32>(numKeys - 1u)) * strideKey;
    var s = vec4<f32>();
    for (var d = 0u; d < vecs; d += 1u) {
      let own = q[d];
      s += vec4<f32>(dot(own, k_RHD[rowK.x + d]), dot(own, k_RHD[rowK.y + d]),
                     dot(own, k_RHD[rowK.z + d]), dot(own, k_RHD[rowK.w + d]));
    }
    s = select(vec4<f32>(LOWEST), capped(s), key < vec4<u32>(numKeys));
    let previous = highest;
    highest = max(previous, max8(max(max(s.x, s.y), max(s.z, s.w))));
    let shrink = exp(previous - highest);
    let weights = exp(s - highest);
    denominator = denominator * shrink + (weights.x + weights.y + weights.z + weights.w);
    a *= shrink;
    b *= shrink;
    for (var t = 0u; t < lanes; t += 1u) {
      let p = subgroupShuffle(weights, t);
      let at = firstKey + min(first + t + STEPS, vec4<u32>(numKeys - 1u)) * strideKey;
      a += p.x * v_RHD[at.x + columnA] + p.y * v_RHD[at.y + columnA] +
           p.z * v_RHD[at.z + columnA] + p.w * v_RHD[at.w + columnA];
      b += p.x * v_RHD[at.x + columnB] + p.y * v_RHD[at.y + columnB] +
           p.z * v_RHD[at.z + columnB] + p.w * v_RHD[at.w + columnB];
    }
  }
  let total = sum8(denominator);
  if (i >= sequence.y) { return; }
  if (column < HEAD_VECS) { o_THD[rowO + column] = a / total; }
  if (column + 8u < HEAD_VECS) { o_THD[rowO + column + 8u] = b / total; }
}
