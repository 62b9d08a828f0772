// o = softmax(scale * q k^T) v per query and head, queries being the last qLen of kvLen positions.
// Grid    x: queries, slabs of 64 columns and parts of the keys, y: heads, z: sequences; a subgroup of 8 lanes owns a row.
// Memory  lanes are keys for the scores and columns for the sums, so k and v are read once; weights are shuffled
//         within the subgroup. q is held in private memory. No workgroup storage, no barrier. With SPLIT a part of the
//         keys leaves its sums, highest score and denominator in o_THD, for merge.wgsl.
// Order   online softmax over tiles of 32 keys, ascending; in a tile t, t + 8, t + 16, t + 24 together: fixed.
// Edges   GQA and qLen as in plain.wgsl. Dh is a multiple of 4. Subgroups have at least 8 lanes.

enable subgroups;

const HEAD_VECS : u32 = 16u;    // spec: vec4 of one head, Dh / 4
const SINKS : bool = false;     // spec: each head has a sink
const SOFTCAP : bool = false;   // spec: scores are capped; compiled in, since CPU adapters run both sides of an if
const SPLIT : bool = false;     // spec: the keys are cut into parts
const PAGED : bool = false;     // spec: the rows of a sequence lie in pages that a table names
const KV_F16 : bool = false;    // spec: k and v are packed halves
alias Kv = vec4<u32>;           // spec: four values of k or v: vec4<u32> in f32, vec2<u32> with KV_F16
const LAST : u32 = 3u;          // spec: last word of Kv

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
  pageSize : u32,      // keys of a page, with PAGED
  numParts : u32,      // with SPLIT: parts of the visible keys
  keysPerPart : u32,
  firstQuery : u32,    // where the grid begins: a dispatch has at most 65,535 workgroups each way
  firstHead : u32,
  firstSequence : u32,
}

@group(0) @binding(0) var<storage, read> q_THD : array<vec4<f32>>;           // [sum of qLen, H, Dh]
@group(0) @binding(1) var<storage, read> k_RHD : array<Kv>;                  // [sequences * cacheLength, Hkv, Dh]
@group(0) @binding(2) var<storage, read> v_RHD : array<Kv>;
@group(0) @binding(3) var<storage, read> sequences : array<vec4<u32>>; // first q row, qLen, kvLen, cache slot
// With PAGED sequences is followed by the table, four pages each: slot s has cacheLength / pageSize of them.
@group(0) @binding(4) var<storage, read_write> o_THD : array<vec4<f32>>; // SPLIT: [sum of qLen, H, parts, Dh + 4]
@group(0) @binding(5) var<storage, read> sinks_H : array<f32>;   // [H]; any buffer without SINKS
@group(1) @binding(0) var<uniform> params : Params;

const LOWEST : f32 = -3.4028234663852886e38;   // below every finite score
const STEPS : vec4<u32> = vec4<u32>(0u, 8u, 16u, 24u);

// The sum over 8 lanes, in all of them.
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

// Told by its bits: a compiler may take any float for a number.
fn isNaN(v : f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

// isNaN of each of four.
fn isNaN4(v : vec4<f32>) -> vec4<bool> {
  return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}

// capped of each of four; NaN stays.
fn capped4(score : vec4<f32>) -> vec4<f32> {
  if (!SOFTCAP) { return score; }
  let x = abs(score / params.softcap);
  let z = x * x;
  let series = (((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1) * z;
  let near = score + score * (z * (series - 3.33332819422e-1));
  let far = params.softcap * (1.0 - 2.0 / (exp(2.0 * min(x, vec4<f32>(20.0))) + 1.0));
  let signed = select(far, -far, score < vec4<f32>());
  return select(select(signed, near, x < vec4<f32>(0.625)), score, isNaN4(score));
}

// Four values of k or v.
fn four(w : Kv) -> vec4<f32> {
  if (KV_F16) { return vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y)); }
  return bitcast<vec4<f32>>(vec4<u32>(w.x, w.y, w[LAST - 1u], w[LAST]));
}

// A key that is not there adds nothing, whatever lies in the row that is loaded in its place: 0 * Inf would be NaN.
fn valueIf(at : u32, there : bool) -> vec4<f32> {
  return select(vec4<f32>(), four(v_RHD[at]), there);
}

// Row of the cache that holds a key of a slot.
fn rowOf(slot : u32, key : u32) -> u32 {
  if (!PAGED) { return slot * params.cacheLength + key; }
  let page = slot * (params.cacheLength / params.pageSize) + key / params.pageSize;
  return sequences[params.numSequences + page / 4u][page % 4u] * params.pageSize + key % params.pageSize;
}

// Rows of four keys.
fn rowsOf(slot : u32, key : vec4<u32>) -> vec4<u32> {
  if (!PAGED) { return slot * params.cacheLength + key; }
  return vec4<u32>(rowOf(slot, key.x), rowOf(slot, key.y), rowOf(slot, key.z), rowOf(slot, key.w));
}

// A sink's part of the denominator, with the highest score at least the sink: 1 where it is the highest, 0 for -Inf, NaN
// for NaN and Inf, as float64 has it. An adapter's exp need not keep NaN.
fn sinkShare(sink : f32, highest : f32) -> f32 {
  let below = sink - highest;
  return select(select(exp(below), 1.0, sink == highest), below, isNaN(below));
}

// The first key that the window leaves of `numKeys`.
fn firstVisible(numKeys : u32) -> u32 {
  return select(0u, numKeys - min(numKeys, params.window), params.window > 0u);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(subgroup_invocation_id) lane : u32) {
  let sequence = sequences[params.firstSequence + group.z];
  let slabs = (HEAD_VECS + 15u) / 16u;
  var part = 0u;
  var place = group.x;
  if (SPLIT) {
    part = group.x % params.numParts;
    place = group.x / params.numParts;
  }
  let i = params.firstQuery + place / slabs;
  let column = place % slabs * 16u + lane;
  let h = params.firstHead + group.y;
  let kvHead = h / (params.numHeads / params.numKvHeads);
  var numKeys = sequence.z;
  if (params.causal == 1u) { numKeys = sequence.z - sequence.y + i + 1u; }
  if (i >= sequence.y) { numKeys = 0u; }
  var oldest = firstVisible(numKeys);
  if (SPLIT) {
    oldest += part * params.keysPerPart;
    numKeys = min(numKeys, oldest + params.keysPerPart);
  }
  let firstKey = kvHead * HEAD_VECS;
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
    // A NaN sink is not the highest, but is NaN in the sum.
    highest = max(highest, sinks_H[h]);
    denominator = select(0.0, sinkShare(sinks_H[h], highest), lane == 0u);
  }
  var a = vec4<f32>();
  var b = vec4<f32>();
  for (var first = oldest; first < numKeys; first += 32u) {
    let key = first + lane + STEPS;
    let rowK = firstKey + rowsOf(sequence.w, min(key, vec4<u32>(numKeys - 1u))) * strideKey;
    var s = vec4<f32>();
    for (var d = 0u; d < vecs; d += 1u) {
      let own = q[d];
      s += vec4<f32>(dot(own, four(k_RHD[rowK.x + d])), dot(own, four(k_RHD[rowK.y + d])),
                     dot(own, four(k_RHD[rowK.z + d])), dot(own, four(k_RHD[rowK.w + d])));
    }
    let sees = key < vec4<u32>(numKeys);
    s = select(vec4<f32>(LOWEST), capped4(s), sees);
    let previous = highest;
    // A NaN score is not the highest, but its weight is NaN.
    highest = max(previous, max8(max(max(s.x, s.y), max(s.z, s.w))));
    let shrink = exp(previous - highest);
    let weights = select(vec4<f32>(), exp(s - highest), sees);
    denominator = denominator * shrink + (weights.x + weights.y + weights.z + weights.w);
    a *= shrink;
    b *= shrink;
    for (var t = 0u; t < lanes; t += 1u) {
      let p = subgroupShuffle(weights, t);
      let weighed = first + t + STEPS;
      let there = weighed < vec4<u32>(numKeys);
      let at = firstKey + rowsOf(sequence.w, min(weighed, vec4<u32>(numKeys - 1u))) * strideKey;
      a += p.x * valueIf(at.x + columnA, there.x) + p.y * valueIf(at.y + columnA, there.y) +
           p.z * valueIf(at.z + columnA, there.z) + p.w * valueIf(at.w + columnA, there.w);
      b += p.x * valueIf(at.x + columnB, there.x) + p.y * valueIf(at.y + columnB, there.y) +
           p.z * valueIf(at.z + columnB, there.z) + p.w * valueIf(at.w + columnB, there.w);
    }
  }
  let total = sum8(denominator);
  if (i >= sequence.y) { return; }
  if (SPLIT) {
    if (oldest >= numKeys) { return; }
    let to = (rowO / HEAD_VECS * params.numParts + part) * (HEAD_VECS + 1u);
    if (column < HEAD_VECS) { o_THD[to + column] = a; }
    if (column + 8u < HEAD_VECS) { o_THD[to + column + 8u] = b; }
    if (column == 0u) { o_THD[to + HEAD_VECS] = vec4<f32>(highest, total, 0.0, 0.0); }
    return;
  }
  if (column < HEAD_VECS) { o_THD[rowO + column] = a / total; }
  if (column + 8u < HEAD_VECS) { o_THD[rowO + column + 8u] = b / total; }
}
