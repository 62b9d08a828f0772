// o = softmax(scale * q k^T) v per query and head, queries being the last qLen of kvLen positions.
// Grid    x: queries and parts of the keys, y: heads, z: sequences; a workgroup owns one query of one head: for decoding.
// Memory  a lane scores keys lane, lane + WG, ... of each chunk, then owns vec4 columns of o, for every GROUPS-th key
//         where there are more lanes than columns. Scores, weights and rows of a chunk pass through workgroup storage.
//         With SPLIT a part of the keys leaves its sums, highest score and denominator in o_THD, for merge.wgsl.
// Order   online softmax over chunks in ascending order, keys ascending, groups of lanes last: the same bits on every run.
// Edges   GQA and qLen as in plain.wgsl. Dh = 4 HEAD_VECS.

const WG : u32 = 64u;           // spec: lanes
const CHUNK : u32 = 64u;        // spec: keys per chunk
const HEAD_VECS : u32 = 16u;    // spec: vec4 of one head, Dh / 4
const SINKS : bool = false;     // spec: each head has a sink
const SOFTCAP : bool = false;   // spec: scores are capped; compiled in, since CPU adapters run both sides of an if
const SPLIT : bool = false;     // spec: the keys are cut into parts
const PAGED : bool = false;     // spec: the rows of a sequence lie in pages that a table names
const KV_F16 : bool = false;    // spec: k and v are packed halves
alias Kv = vec4<u32>;           // spec: four values of k or v: vec4<u32> in f32, vec2<u32> with KV_F16
const LAST : u32 = 3u;          // spec: last word of Kv
const GROUPS : u32 = max(1u, WG / HEAD_VECS);
const SPAN : u32 = select(WG, HEAD_VECS, GROUPS > 1u);
const OWNED : u32 = (HEAD_VECS + WG - 1u) / WG;

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

var<workgroup> query : array<vec4<f32>, HEAD_VECS>;
var<workgroup> weights : array<f32, CHUNK>;
var<workgroup> rows : array<u32, CHUNK>;
var<workgroup> sums : array<vec4<f32>, WG>;

const LOWEST : f32 = -3.4028234663852886e38;   // below every finite score

// Told by its bits: a compiler may take any float for a number.
fn isNaN(v : f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

// softcap tanh(score / softcap): near 0 a polynomial (Cephes), so that a cap far above a score leaves it, else by exp,
// since WGSL's tanh may be off by 1e-5. A NaN stays: min and clamp may drop it.
fn capped(score : f32) -> f32 {
  if (!SOFTCAP) { return score; }
  let x = abs(score / params.softcap);
  let z = x * x;
  let series = (((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1) * z;
  let near = score + score * (z * (series - 3.33332819422e-1));
  let far = params.softcap * (1.0 - 2.0 / (exp(2.0 * min(x, 20.0)) + 1.0));
  return select(select(select(far, -far, score < 0.0), near, x < 0.625), score, isNaN(score));
}

// Four values of k or v.
fn four(w : Kv) -> vec4<f32> {
  if (KV_F16) { return vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y)); }
  return bitcast<vec4<f32>>(vec4<u32>(w.x, w.y, w[LAST - 1u], w[LAST]));
}

// Row of the cache that holds a key of a slot.
fn rowOf(slot : u32, key : u32) -> u32 {
  if (!PAGED) { return slot * params.cacheLength + key; }
  let page = slot * (params.cacheLength / params.pageSize) + key / params.pageSize;
  return sequences[params.numSequences + page / 4u][page % 4u] * params.pageSize + key % params.pageSize;
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

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let sequence = sequences[params.firstSequence + group.z];
  var part = 0u;
  var i = params.firstQuery + group.x;
  if (SPLIT) {
    part = group.x % params.numParts;
    i = params.firstQuery + group.x / params.numParts;
  }
  if (i >= sequence.y) { return; }
  let h = params.firstHead + group.y;
  let kvHead = h / (params.numHeads / params.numKvHeads);
  var numKeys = sequence.z;
  if (params.causal == 1u) { numKeys = sequence.z - sequence.y + i + 1u; }
  var oldest = firstVisible(numKeys);
  if (SPLIT) {
    oldest += part * params.keysPerPart;
    numKeys = min(numKeys, oldest + params.keysPerPart);
    if (oldest >= numKeys) { return; }
  }
  let rowQ = (sequence.x + i) * params.numHeads + h;
  let strideKey = params.numKvHeads * HEAD_VECS;
  // A bound that the compiler cannot see keeps it from unrolling.
  let vecs = params.headDim / 4u;
  for (var d = lane; d < vecs; d += WG) { query[d] = q_THD[rowQ * HEAD_VECS + d] * params.scale; }
  var o : array<vec4<f32>, OWNED>;
  let column = lane % SPAN;
  let firstOwn = lane / SPAN;
  var highest = LOWEST;
  var denominator = 0.0;
  if (SINKS) {
    // A NaN sink is not the highest, but is NaN in the sum.
    highest = max(highest, sinks_H[h]);
    denominator = sinkShare(sinks_H[h], highest);
  }
  for (var first = oldest; first < numKeys; first += CHUNK) {
    let count = min(CHUNK, numKeys - first);
    workgroupBarrier();
    for (var key = lane; key < count; key += WG) {
      let row = rowOf(sequence.w, first + key) * strideKey + kvHead * HEAD_VECS;
      var score = 0.0;
      for (var d = 0u; d < vecs; d += 1u) { score += dot(query[d], four(k_RHD[row + d])); }
      weights[key] = capped(score);
      rows[key] = row;
    }
    workgroupBarrier();
    let previous = highest;
    // A NaN score is not the highest, but its weight is NaN.
    for (var key = 0u; key < count; key += 1u) { highest = max(highest, weights[key]); }
    workgroupBarrier();
    for (var key = lane; key < count; key += WG) { weights[key] = exp(weights[key] - highest); }
    workgroupBarrier();
    let shrink = exp(previous - highest);
    denominator *= shrink;
    for (var key = 0u; key < count; key += 1u) { denominator += weights[key]; }
    for (var own = 0u; own < OWNED; own += 1u) {
      let d = own * WG + column;
      if (d < HEAD_VECS && firstOwn < GROUPS) {
        var total = o[own] * shrink;
        for (var key = firstOwn; key < count; key += GROUPS) { total += weights[key] * four(v_RHD[rows[key] + d]); }
        o[own] = total;
      }
    }
  }
  if (GROUPS > 1u) {
    sums[lane] = o[0];
    workgroupBarrier();
    if (lane < HEAD_VECS) {
      for (var g = 1u; g < GROUPS; g += 1u) { o[0] += sums[g * HEAD_VECS + lane]; }
    }
  }
  for (var own = 0u; own < OWNED; own += 1u) {
    let d = own * WG + lane;
    if (d < HEAD_VECS) {
      if (SPLIT) {
        o_THD[(rowQ * params.numParts + part) * (HEAD_VECS + 1u) + d] = o[own];
      } else {
        o_THD[rowQ * HEAD_VECS + d] = o[own] / denominator;
      }
    }
  }
  if (SPLIT && lane == 0u) {
    let to = (rowQ * params.numParts + part) * (HEAD_VECS + 1u) + HEAD_VECS;
    o_THD[to] = vec4<f32>(highest, denominator, 0.0, 0.0);
  }
}
