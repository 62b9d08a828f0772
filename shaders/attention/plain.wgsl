// o = softmax(scale * q k^T) v per query and head, queries being the last qLen of kvLen positions.
// Grid    x: queries by WG, y: heads, z: sequences; a thread owns one query of one head.
// Memory  two passes over the keys, first the maximum, then the weighted sum; q and o in registers.
// Order   keys ascending: the same bits on every run.
// Edges   GQA: head h reads KV head h / (H / Hkv). Dh <= HEAD_DIM. Threads past qLen leave at once.

const WG : u32 = 32u;           // spec: queries per workgroup
const HEAD_DIM : u32 = 64u;     // spec: room for one head, at least Dh
const SINKS : bool = false;     // spec: each head has a sink
const SOFTCAP : bool = false;   // spec: scores are capped; compiled in, since CPU adapters run both sides of an if
const PAGED : bool = false;     // spec: the rows of a sequence lie in pages that a table names
const KV_F16 : bool = false;    // spec: k and v are packed halves

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

@group(0) @binding(0) var<storage, read> q_THD : array<f32>;           // [sum of qLen, H, Dh]
@group(0) @binding(1) var<storage, read> k_RHD : array<u32>;           // [sequences * cacheLength, Hkv, Dh]
@group(0) @binding(2) var<storage, read> v_RHD : array<u32>;
@group(0) @binding(3) var<storage, read> sequences : array<vec4<u32>>; // first q row, qLen, kvLen, cache slot
// With PAGED sequences is followed by the table, four pages each: slot s has cacheLength / pageSize of them.
@group(0) @binding(4) var<storage, read_write> o_THD : array<f32>;
@group(0) @binding(5) var<storage, read> sinks_H : array<f32>;   // [H]; any buffer without SINKS
@group(1) @binding(0) var<uniform> params : Params;

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

fn key(at : u32) -> f32 {
  if (KV_F16) { return unpack2x16float(k_RHD[at / 2u])[at % 2u]; }
  return bitcast<f32>(k_RHD[at]);
}

fn value(at : u32) -> f32 {
  if (KV_F16) { return unpack2x16float(v_RHD[at / 2u])[at % 2u]; }
  return bitcast<f32>(v_RHD[at]);
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
fn main(@builtin(global_invocation_id) gid : vec3<u32>) {
  let sequence = sequences[params.firstSequence + gid.z];
  let i = params.firstQuery + gid.x;
  if (i >= sequence.y) { return; }
  let h = params.firstHead + gid.y;
  let kvHead = h / (params.numHeads / params.numKvHeads);
  var numKeys = sequence.z;
  if (params.causal == 1u) { numKeys = sequence.z - sequence.y + i + 1u; }
  let rowQ = ((sequence.x + i) * params.numHeads + h) * params.headDim;
  let strideKey = params.numKvHeads * params.headDim;
  var q : array<f32, HEAD_DIM>;
  var o : array<f32, HEAD_DIM>;
  for (var d = 0u; d < params.headDim; d += 1u) { q[d] = q_THD[rowQ + d] * params.scale; }
  let oldest = firstVisible(numKeys);
  var highest = LOWEST;
  // A NaN sink is not the highest, but is NaN in the sum.
  if (SINKS) { highest = max(highest, sinks_H[h]); }
  for (var j = oldest; j < numKeys; j += 1u) {
    let row = rowOf(sequence.w, j) * strideKey + kvHead * params.headDim;
    var score = 0.0;
    for (var d = 0u; d < params.headDim; d += 1u) { score += q[d] * key(row + d); }
    // A NaN score is not the highest, but its weight is NaN.
    highest = max(highest, capped(score));
  }
  var denominator = 0.0;
  if (SINKS) { denominator = sinkShare(sinks_H[h], highest); }
  for (var j = oldest; j < numKeys; j += 1u) {
    let row = rowOf(sequence.w, j) * strideKey + kvHead * params.headDim;
    var score = 0.0;
    for (var d = 0u; d < params.headDim; d += 1u) { score += q[d] * key(row + d); }
    let p = exp(capped(score) - highest);
    denominator += p;
    for (var d = 0u; d < params.headDim; d += 1u) { o[d] += p * value(row + d); }
  }
  for (var d = 0u; d < params.headDim; d += 1u) { o_THD[rowQ + d] = o[d] / denominator; }
}
