// o = softmax(scale * q k^T) v per query and head, queries being the last qLen of kvLen positions.
// Grid    x: blocks of 16 queries and slabs of 64 columns, y: heads, z: sequences; a subgroup of 8 lanes owns a block.
// Memory  lanes are keys for the scores and columns for the sums: every load of k or v serves 16 rows, whose other
//         factor is shuffled within the subgroup. q is held in private memory. No workgroup storage, no barrier.
// Order   online softmax over tiles of 32 keys, ascending; in a tile t, t + 8, t + 16, t + 24 together: fixed.
// Edges   tiles that no query of the block sees are skipped; GQA and qLen as in plain.wgsl. Dh is a multiple of 4.
//         Subgroups have at least 8 lanes; no lane leaves early, since all take part in shuffles.
// The tile is written out by hand: an array indexed in a loop lives in memory on drivers that do not unroll.

enable subgroups;

const HEAD_VECS : u32 = 16u;    // spec: vec4 of one head, Dh / 4
const SINKS : bool = false;     // spec: each head has a sink
const SOFTCAP : bool = false;   // spec: scores are capped; compiled in, since CPU adapters run both sides of an if
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

const ROWS : u32 = 16u;
const LOWEST : f32 = -3.4028234663852886e38;   // below every finite score
const INFINITE : vec4<u32> = vec4<u32>(0x7f800000u);   // exponent of Inf and NaN
const STEPS : vec4<u32> = vec4<u32>(0u, 8u, 16u, 24u);

// What a row has seen so far: the highest score, this lane's part of the denominator, and what sums shrink by.
struct Seen { highest : f32, denominator : f32, shrink : f32 }

// A group of four of one row of q with those of the lane's four keys.
fn products(q : vec4<f32>, k0 : vec4<f32>, k1 : vec4<f32>, k2 : vec4<f32>, k3 : vec4<f32>) -> vec4<f32> {
  return q.x * vec4<f32>(k0.x, k1.x, k2.x, k3.x) + q.y * vec4<f32>(k0.y, k1.y, k2.y, k3.y) +
         q.z * vec4<f32>(k0.z, k1.z, k2.z, k3.z) + q.w * vec4<f32>(k0.w, k1.w, k2.w, k3.w);
}

// The sum over 8 lanes, in all of them.
fn sum8(own : f32) -> f32 {
  var sum = own + subgroupShuffleXor(own, 1u);
  sum += subgroupShuffleXor(sum, 2u);
  return sum + subgroupShuffleXor(sum, 4u);
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

// The sink's part of the denominator is the first lane's.
fn firstSeen(sink : f32, lane : u32) -> Seen {
  // A NaN sink is not the highest, but is NaN in the sum.
  let highest = max(LOWEST, sink);
  return Seen(highest, select(0.0, sinkShare(sink, highest), lane == 0u), 0.0);
}

// Scores become weights; a key that the row does not see weighs nothing.
fn weigh(scores : ptr<function, vec4<f32>>, key : vec4<u32>, visible : u32, seen : ptr<function, Seen>) {
  let sees = (key < vec4<u32>(visible)) & (key >= vec4<u32>(firstVisible(visible)));
  let s = select(vec4<f32>(LOWEST), capped4(*scores), sees);
  // A NaN score is not the highest, but its weight is NaN.
  var highest = max(max(s.x, s.y), max(s.z, s.w));
  highest = max(highest, subgroupShuffleXor(highest, 1u));
  highest = max(highest, subgroupShuffleXor(highest, 2u));
  highest = max(max(highest, subgroupShuffleXor(highest, 4u)), (*seen).highest);
  let p = select(vec4<f32>(), exp(s - highest), sees);
  (*seen).shrink = exp((*seen).highest - highest);
  (*seen).highest = highest;
  (*seen).denominator = (*seen).denominator * (*seen).shrink + (p.x + p.y + p.z + p.w);
  *scores = p;
}

fn weighted(p : vec4<f32>, v0 : vec4<f32>, v1 : vec4<f32>, v2 : vec4<f32>, v3 : vec4<f32>) -> vec4<f32> {
  return p.x * v0 + p.y * v1 + p.z * v2 + p.w * v3;
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(subgroup_invocation_id) lane : u32) {
  let sequence = sequences[params.firstSequence + group.z];
  let slabs = (HEAD_VECS + 15u) / 16u;
  let firstQuery = params.firstQuery + group.x / slabs * ROWS;
  let column = group.x % slabs * 16u + lane;
  let h = params.firstHead + group.y;
  let kvHead = h / (params.numHeads / params.numKvHeads);
  let past = sequence.z - sequence.y;
  var numKeys = sequence.z;
  if (params.causal == 1u) { numKeys = past + min(firstQuery + ROWS, sequence.y); }
  if (firstQuery >= sequence.y) { numKeys = 0u; }
  let firstKey = kvHead * HEAD_VECS;
  let strideKey = params.numKvHeads * HEAD_VECS;
  let columnA = min(column, HEAD_VECS - 1u);
  let columnB = min(column + 8u, HEAD_VECS - 1u);
  // Bounds that the compiler cannot see keep it from unrolling.
  let vecs = params.headDim / 4u;
  let lanes = min(8u, 8u * params.numSequences);
  var held0 : array<vec4<f32>, HEAD_VECS>;
  var held1 : array<vec4<f32>, HEAD_VECS>;
  if (numKeys > 0u) {
    let row = vec2<u32>(firstQuery + lane) + vec2<u32>(0u, 8u);
    let rowQ = ((sequence.x + min(row, vec2<u32>(sequence.y - 1u))) * params.numHeads + h) * HEAD_VECS;
    for (var d = 0u; d < vecs; d += 1u) {
      held0[d] = q_THD[rowQ.x + d] * params.scale;
      held1[d] = q_THD[rowQ.y + d] * params.scale;
    }
  }
  var start = Seen(LOWEST, 0.0, 0.0);
  if (SINKS) { start = firstSeen(sinks_H[h], lane); }
  var seen0 = start;
  var seen1 = start;
  var seen2 = start;
  var seen3 = start;
  var seen4 = start;
  var seen5 = start;
  var seen6 = start;
  var seen7 = start;
  var seen8 = start;
  var seen9 = start;
  var seen10 = start;
  var seen11 = start;
  var seen12 = start;
  var seen13 = start;
  var seen14 = start;
  var seen15 = start;
  var a0 = vec4<f32>(); var a1 = vec4<f32>();
  var a2 = vec4<f32>(); var a3 = vec4<f32>();
  var a4 = vec4<f32>(); var a5 = vec4<f32>();
  var a6 = vec4<f32>(); var a7 = vec4<f32>();
  var a8 = vec4<f32>(); var a9 = vec4<f32>();
  var a10 = vec4<f32>(); var a11 = vec4<f32>();
  var a12 = vec4<f32>(); var a13 = vec4<f32>();
  var a14 = vec4<f32>(); var a15 = vec4<f32>();
  var b0 = vec4<f32>(); var b1 = vec4<f32>();
  var b2 = vec4<f32>(); var b3 = vec4<f32>();
  var b4 = vec4<f32>(); var b5 = vec4<f32>();
  var b6 = vec4<f32>(); var b7 = vec4<f32>();
  var b8 = vec4<f32>(); var b9 = vec4<f32>();
  var b10 = vec4<f32>(); var b11 = vec4<f32>();
  var b12 = vec4<f32>(); var b13 = vec4<f32>();
  var b14 = vec4<f32>(); var b15 = vec4<f32>();
  for (var first = firstVisible(min(numKeys, past + firstQuery + 1u)); first < numKeys; first += 32u) {
    let key = first + lane + STEPS;
    let rowK = firstKey + rowsOf(sequence.w, min(key, vec4<u32>(numKeys - 1u))) * strideKey;
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    var s4 = vec4<f32>();
    var s5 = vec4<f32>();
    var s6 = vec4<f32>();
    var s7 = vec4<f32>();
    var s8 = vec4<f32>();
    var s9 = vec4<f32>();
    var s10 = vec4<f32>();
    var s11 = vec4<f32>();
    var s12 = vec4<f32>();
    var s13 = vec4<f32>();
    var s14 = vec4<f32>();
    var s15 = vec4<f32>();
    for (var d = 0u; d < vecs; d += 1u) {
      let k0 = four(k_RHD[rowK.x + d]);
      let k1 = four(k_RHD[rowK.y + d]);
      let k2 = four(k_RHD[rowK.z + d]);
      let k3 = four(k_RHD[rowK.w + d]);
      let q0 = held0[d];
      s0 += products(subgroupShuffle(q0, 0u), k0, k1, k2, k3);
      s1 += products(subgroupShuffle(q0, 1u), k0, k1, k2, k3);
      s2 += products(subgroupShuffle(q0, 2u), k0, k1, k2, k3);
      s3 += products(subgroupShuffle(q0, 3u), k0, k1, k2, k3);
      s4 += products(subgroupShuffle(q0, 4u), k0, k1, k2, k3);
      s5 += products(subgroupShuffle(q0, 5u), k0, k1, k2, k3);
      s6 += products(subgroupShuffle(q0, 6u), k0, k1, k2, k3);
      s7 += products(subgroupShuffle(q0, 7u), k0, k1, k2, k3);
      let q1 = held1[d];
      s8 += products(subgroupShuffle(q1, 0u), k0, k1, k2, k3);
      s9 += products(subgroupShuffle(q1, 1u), k0, k1, k2, k3);
      s10 += products(subgroupShuffle(q1, 2u), k0, k1, k2, k3);
      s11 += products(subgroupShuffle(q1, 3u), k0, k1, k2, k3);
      s12 += products(subgroupShuffle(q1, 4u), k0, k1, k2, k3);
      s13 += products(subgroupShuffle(q1, 5u), k0, k1, k2, k3);
      s14 += products(subgroupShuffle(q1, 6u), k0, k1, k2, k3);
      s15 += products(subgroupShuffle(q1, 7u), k0, k1, k2, k3);
    }
    let visible = select(sequence.z, past + firstQuery + 1u, params.causal == 1u);
    let next = params.causal;
    weigh(&s0, key, visible, &seen0);
    weigh(&s1, key, visible + 1u * next, &seen1);
    weigh(&s2, key, visible + 2u * next, &seen2);
    weigh(&s3, key, visible + 3u * next, &seen3);
    weigh(&s4, key, visible + 4u * next, &seen4);
    weigh(&s5, key, visible + 5u * next, &seen5);
    weigh(&s6, key, visible + 6u * next, &seen6);
    weigh(&s7, key, visible + 7u * next, &seen7);
    weigh(&s8, key, visible + 8u * next, &seen8);
    weigh(&s9, key, visible + 9u * next, &seen9);
    weigh(&s10, key, visible + 10u * next, &seen10);
    weigh(&s11, key, visible + 11u * next, &seen11);
    weigh(&s12, key, visible + 12u * next, &seen12);
    weigh(&s13, key, visible + 13u * next, &seen13);
    weigh(&s14, key, visible + 14u * next, &seen14);
    weigh(&s15, key, visible + 15u * next, &seen15);
    a0 *= seen0.shrink;
    a1 *= seen1.shrink;
    a2 *= seen2.shrink;
    a3 *= seen3.shrink;
    a4 *= seen4.shrink;
    a5 *= seen5.shrink;
    a6 *= seen6.shrink;
    a7 *= seen7.shrink;
    a8 *= seen8.shrink;
    a9 *= seen9.shrink;
    a10 *= seen10.shrink;
    a11 *= seen11.shrink;
    a12 *= seen12.shrink;
    a13 *= seen13.shrink;
    a14 *= seen14.shrink;
    a15 *= seen15.shrink;
    for (var t = 0u; t < lanes; t += 1u) {
      let row = rowsOf(sequence.w, min(first + t + STEPS, vec4<u32>(numKeys - 1u)));
      let at = firstKey + columnA + row * strideKey;
      let v0 = four(v_RHD[at.x]);
      let v1 = four(v_RHD[at.y]);
      let v2 = four(v_RHD[at.z]);
      let v3 = four(v_RHD[at.w]);
      a0 += weighted(subgroupShuffle(s0, t), v0, v1, v2, v3);
      a1 += weighted(subgroupShuffle(s1, t), v0, v1, v2, v3);
      a2 += weighted(subgroupShuffle(s2, t), v0, v1, v2, v3);
      a3 += weighted(subgroupShuffle(s3, t), v0, v1, v2, v3);
      a4 += weighted(subgroupShuffle(s4, t), v0, v1, v2, v3);
      a5 += weighted(subgroupShuffle(s5, t), v0, v1, v2, v3);
      a6 += weighted(subgroupShuffle(s6, t), v0, v1, v2, v3);
      a7 += weighted(subgroupShuffle(s7, t), v0, v1, v2, v3);
      a8 += weighted(subgroupShuffle(s8, t), v0, v1, v2, v3);
      a9 += weighted(subgroupShuffle(s9, t), v0, v1, v2, v3);
      a10 += weighted(subgroupShuffle(s10, t), v0, v1, v2, v3);
      a11 += weighted(subgroupShuffle(s11, t), v0, v1, v2, v3);
      a12 += weighted(subgroupShuffle(s12, t), v0, v1, v2, v3);
      a13 += weighted(subgroupShuffle(s13, t), v0, v1, v2, v3);
      a14 += weighted(subgroupShuffle(s14, t), v0, v1, v2, v3);
      a15 += weighted(subgroupShuffle(s15, t), v0, v1, v2, v3);
    }
    b0 *= seen0.shrink;
    b1 *= seen1.shrink;
    b2 *= seen2.shrink;
    b3 *= seen3.shrink;
    b4 *= seen4.shrink;
    b5 *= seen5.shrink;
    b6 *= seen6.shrink;
    b7 *= seen7.shrink;
    b8 *= seen8.shrink;
    b9 *= seen9.shrink;
    b10 *= seen10.shrink;
    b11 *= seen11.shrink;
    b12 *= seen12.shrink;
    b13 *= seen13.shrink;
    b14 *= seen14.shrink;
    b15 *= seen15.shrink;
    for (var t = 0u; t < lanes; t += 1u) {
      let row = rowsOf(sequence.w, min(first + t + STEPS, vec4<u32>(numKeys - 1u)));
      let at = firstKey + columnB + row * strideKey;
      let v0 = four(v_RHD[at.x]);
      let v1 = four(v_RHD[at.y]);
      let v2 = four(v_RHD[at.z]);
      let v3 = four(v_RHD[at.w]);
      b0 += weighted(subgroupShuffle(s0, t), v0, v1, v2, v3);
      b1 += weighted(subgroupShuffle(s1, t), v0, v1, v2, v3);
      b2 += weighted(subgroupShuffle(s2, t), v0, v1, v2, v3);
      b3 += weighted(subgroupShuffle(s3, t), v0, v1, v2, v3);
      b4 += weighted(subgroupShuffle(s4, t), v0, v1, v2, v3);
      b5 += weighted(subgroupShuffle(s5, t), v0, v1, v2, v3);
      b6 += weighted(subgroupShuffle(s6, t), v0, v1, v2, v3);
      b7 += weighted(subgroupShuffle(s7, t), v0, v1, v2, v3);
      b8 += weighted(subgroupShuffle(s8, t), v0, v1, v2, v3);
      b9 += weighted(subgroupShuffle(s9, t), v0, v1, v2, v3);
      b10 += weighted(subgroupShuffle(s10, t), v0, v1, v2, v3);
      b11 += weighted(subgroupShuffle(s11, t), v0, v1, v2, v3);
      b12 += weighted(subgroupShuffle(s12, t), v0, v1, v2, v3);
      b13 += weighted(subgroupShuffle(s13, t), v0, v1, v2, v3);
      b14 += weighted(subgroupShuffle(s14, t), v0, v1, v2, v3);
      b15 += weighted(subgroupShuffle(s15, t), v0, v1, v2, v3);
    }
  }
  let rowO = (sequence.x + firstQuery) * params.numHeads + h;
  let count = select(0u, sequence.y - firstQuery, firstQuery < sequence.y);
  var again = 0u;
  again |= storeRow(0u, count, rowO, column, a0, b0, sum8(seen0.denominator));
  again |= storeRow(1u, count, rowO, column, a1, b1, sum8(seen1.denominator));
  again |= storeRow(2u, count, rowO, column, a2, b2, sum8(seen2.denominator));
  again |= storeRow(3u, count, rowO, column, a3, b3, sum8(seen3.denominator));
  again |= storeRow(4u, count, rowO, column, a4, b4, sum8(seen4.denominator));
  again |= storeRow(5u, count, rowO, column, a5, b5, sum8(seen5.denominator));
  again |= storeRow(6u, count, rowO, column, a6, b6, sum8(seen6.denominator));
  again |= storeRow(7u, count, rowO, column, a7, b7, sum8(seen7.denominator));
  again |= storeRow(8u, count, rowO, column, a8, b8, sum8(seen8.denominator));
  again |= storeRow(9u, count, rowO, column, a9, b9, sum8(seen9.denominator));
  again |= storeRow(10u, count, rowO, column, a10, b10, sum8(seen10.denominator));
  again |= storeRow(11u, count, rowO, column, a11, b11, sum8(seen11.denominator));
  again |= storeRow(12u, count, rowO, column, a12, b12, sum8(seen12.denominator));
  again |= storeRow(13u, count, rowO, column, a13, b13, sum8(seen13.denominator));
  again |= storeRow(14u, count, rowO, column, a14, b14, sum8(seen14.denominator));
  again |= storeRow(15u, count, rowO, column, a15, b15, sum8(seen15.denominator));
  for (; again != 0u; again &= again - 1u) {
    let r = firstTrailingBit(again);
    let visible = select(sequence.z, past + firstQuery + r + 1u, params.causal == 1u);
    sumAgain(sequence.w, rowO + r * params.numHeads, h, visible, column);
  }
}

// Row r of the block, if there is one. Its bit when its sums are not finite: a key that the row does not see weighs 0, and
// 0 * Inf is NaN.
fn storeRow(r : u32, count : u32, rowO : u32, column : u32, a : vec4<f32>, b : vec4<f32>, denominator : f32) -> u32 {
  if (r >= count) { return 0u; }
  let to = (rowO + r * params.numHeads) * HEAD_VECS + column;
  if (column < HEAD_VECS) { o_THD[to] = a / denominator; }
  if (column + 8u < HEAD_VECS) { o_THD[to + 8u] = b / denominator; }
  let bits = max(bitcast<vec4<u32>>(a) & INFINITE, bitcast<vec4<u32>>(b) & INFINITE);
  return select(0u, 1u << r, any(bits == INFINITE));
}

// A row's two columns over the keys that it sees and no others, each lane by itself: slow, for values that hold Inf or NaN.
fn sumAgain(slot : u32, row : u32, h : u32, visible : u32, column : u32) {
  let firstKey = h / (params.numHeads / params.numKvHeads) * HEAD_VECS;
  let vecs = params.headDim / 4u;
  var highest = LOWEST;
  var denominator = 0.0;
  if (SINKS) {
    highest = max(highest, sinks_H[h]);
    denominator = sinkShare(sinks_H[h], highest);
  }
  var a = vec4<f32>();
  var b = vec4<f32>();
  for (var key = firstVisible(visible); key < visible; key += 1u) {
    let at = firstKey + rowOf(slot, key) * params.numKvHeads * HEAD_VECS;
    var score = vec4<f32>();
    for (var d = 0u; d < vecs; d += 1u) { score.x += dot(q_THD[row * HEAD_VECS + d] * params.scale, four(k_RHD[at + d])); }
    score = capped4(score);
    let previous = highest;
    highest = max(highest, score.x);
    let shrink = exp(previous - highest);
    let p = exp(score.x - highest);
    denominator = denominator * shrink + p;
    a = a * shrink + p * four(v_RHD[at + min(column, HEAD_VECS - 1u)]);
    b = b * shrink + p * four(v_RHD[at + min(column + 8u, HEAD_VECS - 1u)]);
  }
  let to = row * HEAD_VECS + column;
  if (column < HEAD_VECS) { o_THD[to] = a / denominator; }
  if (column + 8u < HEAD_VECS) { o_THD[to + 8u] = b / denominator; }
}
