// o = softmax(scale * q k^T) v per query and head, queries being the last qLen of kvLen positions.
// Grid    x: queries and parts of the keys, y: HEADS heads that share keys, z: sequences: for decoding on GPUs.
// Memory  LANES lanes lie side by side on a key's vectors, the teams of a workgroup take KEYS keys each at a time: all loads of
//         a turn are under way together and serve HEADS heads. Sums of lanes meet by shuffles, teams once at the end.
//         With SPLIT a part of the keys leaves its sums, highest score and denominator in o_THD, for the merge.
// Order   online softmax over a team's keys in ascending order, then teams in theirs: the same bits on every run.
// Edges   GQA and qLen as in plain.wgsl. Dh = 4 HEAD_VECS. Keys beyond the last are clamped for the loads, then selected away.

enable subgroups;

const WG : u32 = 64u;           // spec: lanes, whole teams
const LANES : u32 = 16u;        // spec: lanes of a team: 4, 8 or 16, and no more than a subgroup has
const HEADS : u32 = 1u;         // spec: heads of a workgroup; all have the same keys
const KEYS : u32 = 4u;          // spec: keys of a team at a time
const HEAD_VECS : u32 = 16u;    // spec: vec4 of one head, Dh / 4
const SINKS : bool = false;     // spec: each head has a sink
const SOFTCAP : bool = false;   // spec: scores are capped; compiled in, since CPU adapters run both sides of an if
const SPLIT : bool = false;     // spec: the keys are cut into parts
const PAGED : bool = false;     // spec: the rows of a sequence lie in pages that a table names
const KV_F16 : bool = false;    // spec: k and v are packed halves
alias Kv = vec4<u32>;           // spec: four values of k or v: vec4<u32> in f32, vec2<u32> with KV_F16
const LAST : u32 = 3u;          // spec: last word of Kv

const TEAMS : u32 = WG / LANES;
const OWN : u32 = (HEAD_VECS + LANES - 1u) / LANES;   // vec4 of a head per lane

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

var<workgroup> teamSums : array<vec4<f32>, TEAMS * HEADS * OWN * LANES>;
var<workgroup> teamEnds : array<vec2<f32>, TEAMS * HEADS>;   // highest score, denominator

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

// The sum over the lanes of a team, in all of them.
fn teamSum(own : f32) -> f32 {
  var sum = own + subgroupShuffleXor(own, 1u);
  sum += subgroupShuffleXor(sum, 2u);
  if (LANES > 4u) { sum += subgroupShuffleXor(sum, 4u); }
  if (LANES > 8u) { sum += subgroupShuffleXor(sum, 8u); }
  return sum;
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
  let h = params.firstHead + group.y * HEADS;
  let firstKey = h / (params.numHeads / params.numKvHeads) * HEAD_VECS;
  let strideKey = params.numKvHeads * HEAD_VECS;
  var numKeys = sequence.z;
  if (params.causal == 1u) { numKeys = sequence.z - sequence.y + i + 1u; }
  var oldest = firstVisible(numKeys);
  if (SPLIT) {
    oldest += part * params.keysPerPart;
    numKeys = min(numKeys, oldest + params.keysPerPart);
    if (oldest >= numKeys) { return; }
  }
  let rowQ = (sequence.x + i) * params.numHeads + h;
  let team = lane / LANES;
  let column = lane % LANES;
  var q : array<vec4<f32>, HEADS * OWN>;
  var o : array<vec4<f32>, HEADS * OWN>;
  var highest : array<f32, HEADS>;
  var denominator : array<f32, HEADS>;
  for (var n = 0u; n < HEADS; n += 1u) {
    highest[n] = LOWEST;
    for (var d = 0u; d < OWN; d += 1u) {
      let at = d * LANES + column;
      q[n * OWN + d] = q_THD[(rowQ + n) * HEAD_VECS + min(at, HEAD_VECS - 1u)] * params.scale;
    }
  }
  // Pages of a turn are found while keys of the turn before are under way.
  var paged : array<u32, KEYS>;
  if (PAGED) {
    for (var j = 0u; j < KEYS; j += 1u) { paged[j] = rowOf(sequence.w, min(oldest + j * TEAMS + team, numKeys - 1u)); }
  }
  for (var first = oldest; first < numKeys; first += TEAMS * KEYS) {
    var k : array<Kv, KEYS * OWN>;
    var v : array<Kv, KEYS * OWN>;
    for (var j = 0u; j < KEYS; j += 1u) {
      var row = paged[j];
      if (!PAGED) { row = rowOf(sequence.w, min(first + j * TEAMS + team, numKeys - 1u)); }
      let start = firstKey + row * strideKey;
      for (var d = 0u; d < OWN; d += 1u) {
        let at = start + min(d * LANES + column, HEAD_VECS - 1u);
        k[j * OWN + d] = k_RHD[at];
        v[j * OWN + d] = v_RHD[at];
      }
    }
    if (PAGED) {
      for (var j = 0u; j < KEYS; j += 1u) {
        paged[j] = rowOf(sequence.w, min(first + (KEYS + j) * TEAMS + team, numKeys - 1u));
      }
    }
    for (var n = 0u; n < HEADS; n += 1u) {
      var scores : array<f32, KEYS>;
      // A NaN score is not the highest, but its weight is NaN.
      var next = highest[n];
      for (var j = 0u; j < KEYS; j += 1u) {
        var own = vec4<f32>();
        for (var d = 0u; d < OWN; d += 1u) {
          // Lanes beyond a head have its last vectors of q and k, which may be infinite: their product is left out.
          let there = HEAD_VECS % LANES == 0u || d * LANES + column < HEAD_VECS;
          own = select(own, fma(q[n * OWN + d], four(k[j * OWN + d]), own), there);
        }
        // Of a key that a team does not have: that of the last, which may be the highest.
        scores[j] = capped(teamSum((own.x + own.y) + (own.z + own.w)));
        // A NaN may be dropped: its weight is NaN all the same.
        next = max(next, scores[j]);
      }
      let shrink = exp(highest[n] - next);
      highest[n] = next;
      denominator[n] *= shrink;
      for (var d = 0u; d < OWN; d += 1u) { o[n * OWN + d] *= shrink; }
      for (var j = 0u; j < KEYS; j += 1u) {
        let seen = first + j * TEAMS + team < numKeys;
        let weight = select(0.0, exp(scores[j] - next), seen);
        denominator[n] += weight;
        for (var d = 0u; d < OWN; d += 1u) {
          o[n * OWN + d] = fma(vec4<f32>(weight), select(vec4<f32>(), four(v[j * OWN + d]), seen), o[n * OWN + d]);
        }
      }
    }
  }
  for (var n = 0u; n < HEADS; n += 1u) {
    if (column == 0u) { teamEnds[team * HEADS + n] = vec2<f32>(highest[n], denominator[n]); }
    for (var d = 0u; d < OWN; d += 1u) { teamSums[((team * HEADS + n) * OWN + d) * LANES + column] = o[n * OWN + d]; }
  }
  workgroupBarrier();
  for (var at = lane; at < HEADS * OWN * LANES; at += WG) {
    let n = at / (OWN * LANES);
    let d = at % (OWN * LANES);
    if (d >= HEAD_VECS) { continue; }
    var most = LOWEST;
    // A NaN sink is not the highest, but is NaN in the sum.
    if (SINKS) { most = max(most, sinks_H[h + n]); }
    // A team's highest is never NaN: its sum is.
    for (var t = 0u; t < TEAMS; t += 1u) { most = max(most, teamEnds[t * HEADS + n].x); }
    var total = 0.0;
    if (SINKS) { total = sinkShare(sinks_H[h + n], most); }
    var sum = vec4<f32>();
    for (var t = 0u; t < TEAMS; t += 1u) {
      let ends = teamEnds[t * HEADS + n];
      let shrink = exp(ends.x - most);
      total += shrink * ends.y;
      sum += shrink * teamSums[(t * HEADS + n) * OWN * LANES + d];
    }
    if (SPLIT) {
      let to = ((rowQ + n) * params.numParts + part) * (HEAD_VECS + 1u);
      o_THD[to + d] = sum;
      if (d == 0u) { o_THD[to + HEAD_VECS] = vec4<f32>(most, total, 0.0, 0.0); }
    } else {
      o_THD[(rowQ + n) * HEAD_VECS + d] = sum / total;
    }
  }
}
