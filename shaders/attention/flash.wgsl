// o = softmax(scale * q k^T) v per query and head, queries being the last qLen of kvLen positions.
// Grid    x: queries by WG, y: heads, z: sequences; a thread owns one query of one head.
// Memory  keys and values pass through workgroup storage, TILE at a time, shared by all queries of the workgroup.
// Order   online softmax over tiles in ascending order (Milakov and Gimelshein, arXiv 1805.02867): fixed.
// Edges   tiles that no query of the workgroup sees are skipped; GQA and qLen as in plain.wgsl.
//         Dh = 4 HEAD_VECS.

const WG : u32 = 32u;           // spec: queries per workgroup
const TILE : u32 = 16u;         // spec: keys per tile
const HEAD_VECS : u32 = 16u;    // spec: vec4 of one head, Dh / 4
const SINKS : bool = false;     // spec: each head has a sink
const SOFTCAP : bool = false;   // spec: scores are capped; compiled in, since CPU adapters run both sides of an if
const PAGED : bool = false;     // spec: the rows of a sequence lie in pages that a table names
const KV_F16 : bool = false;    // spec: k and v are packed halves
alias Kv = vec4<u32>;           // spec: four values of k or v: vec4<u32> in f32, vec2<u32> with KV_F16
const LAST : u32 = 3u;          // spec: last word of Kv
const UNROLL : bool = true;     // spec: let the compiler see the bound, so that a head lives in registers

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
  firstQuery : u32,    // where the grid begins: a dispatch has at most 65,535 workgroups each way
  firstHead : u32,
  firstSequence : u32,
}

@group(0) @binding(0) var<storage, read> q_THD : array<vec4<f32>>;           // [sum of qLen, H, Dh]
@group(0) @binding(1) var<storage, read> k_RHD : array<Kv>;                  // [sequences * cacheLength, Hkv, Dh]
@group(0) @binding(2) var<storage, read> v_RHD : array<Kv>;
@group(0) @binding(3) var<storage, read> sequences : array<vec4<u32>>; // first q row, qLen, kvLen, cache slot
// With PAGED sequences is followed by the table, four pages each: slot s has cacheLength / pageSize of them.
@group(0) @binding(4) var<storage, read_write> o_THD : array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> sinks_H : array<f32>;   // [H]; any buffer without SINKS
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> tileK : array<vec4<f32>, TILE * HEAD_VECS>;
var<workgroup> tileV : array<vec4<f32>, TILE * HEAD_VECS>;

// A bound that the compiler cannot see keeps it from unrolling long heads, which some take seconds for.
fn headVecs() -> u32 {
  if (UNROLL) { return HEAD_VECS; }
  return params.headDim / 4u;
}

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
  let firstQuery = params.firstQuery + group.x * WG;
  if (firstQuery >= sequence.y) { return; }
  let i = min(firstQuery + lane, sequence.y - 1u);
  let h = params.firstHead + group.y;
  let vecs = headVecs();
  let kvHead = h / (params.numHeads / params.numKvHeads);
  // Keys that this query sees, and that the last query of the workgroup sees.
  var numKeys = sequence.z;
  var numKeysOfGroup = sequence.z;
  if (params.causal == 1u) {
    numKeys = sequence.z - sequence.y + i + 1u;
    numKeysOfGroup = sequence.z - sequence.y + min(firstQuery + WG, sequence.y);
  }
  let rowQ = ((sequence.x + i) * params.numHeads + h) * HEAD_VECS;
  let strideKey = params.numKvHeads * HEAD_VECS;
  var q : array<vec4<f32>, HEAD_VECS>;
  var o : array<vec4<f32>, HEAD_VECS>;
  for (var d = 0u; d < vecs; d += 1u) { q[d] = q_THD[rowQ + d] * params.scale; }
  var highest = LOWEST;
  var denominator = 0.0;
  if (SINKS) {
    // A NaN sink is not the highest, but is NaN in the sum.
    highest = max(highest, sinks_H[h]);
    denominator = sinkShare(sinks_H[h], highest);
  }
  let oldest = firstVisible(numKeys);
  let younger = min(firstQuery + WG, sequence.y) - firstQuery - 1u;   // queries after the first of the workgroup
  let oldestOfGroup = firstVisible(numKeysOfGroup - min(numKeysOfGroup, younger));
  for (var first = oldestOfGroup / TILE * TILE; first < numKeysOfGroup; first += TILE) {
    let count = min(TILE, numKeysOfGroup - first);
    workgroupBarrier();
    for (var at = lane; at < count * HEAD_VECS; at += WG) {
      let j = at / HEAD_VECS;
      let d = at % HEAD_VECS;
      let src = rowOf(sequence.w, first + j) * strideKey + kvHead * HEAD_VECS + d;
      tileK[j * HEAD_VECS + d] = four(k_RHD[src]);
      tileV[j * HEAD_VECS + d] = four(v_RHD[src]);
    }
    workgroupBarrier();
    let visible = min(count, max(numKeys, first) - first);
    let hidden = max(oldest, first) - first;
    var scores : array<f32, TILE>;
    var highestOfTile = highest;
    for (var j = hidden; j < visible; j += 1u) {
      var score = 0.0;
      for (var d = 0u; d < vecs; d += 1u) { score += dot(q[d], tileK[j * HEAD_VECS + d]); }
      score = capped(score);
      scores[j] = score;
      // A NaN score is not the highest, but its weight is NaN.
      highestOfTile = max(highestOfTile, score);
    }
    let shrink = exp(highest - highestOfTile);
    highest = highestOfTile;
    denominator *= shrink;
    for (var d = 0u; d < vecs; d += 1u) { o[d] *= shrink; }
    for (var j = hidden; j < visible; j += 1u) {
      let p = exp(scores[j] - highest);
      denominator += p;
      for (var d = 0u; d < vecs; d += 1u) { o[d] += p * tileV[j * HEAD_VECS + d]; }
    }
  }
  if (firstQuery + lane < sequence.y) {
    for (var d = 0u; d < vecs; d += 1u) { o_THD[rowQ + d] = o[d] / denominator; }
  }
}
