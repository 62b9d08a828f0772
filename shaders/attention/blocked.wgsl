// o = softmax(scale * q k^T) v per query and head, queries being the last qLen of kvLen positions.
// Grid    x: blocks of 4 SIDE queries by slabs of columns, y: heads, z: sequences; a slab scores its keys anew.
// Memory  two products of tiles in workgroup storage: a thread owns 4 queries by 4 keys of the scores, then 4 queries by
//         4 COLUMNS of the sums. q and k lie k-major, weights by key, so that operands are read by vec4.
// Order   online softmax over tiles in ascending order (Milakov and Gimelshein, arXiv 1805.02867); a thread sums the weights
//         of its keys, and threads of a row meet at the end, in their order: the same bits on every run.
// Edges   tiles that no query of the workgroup sees are skipped; where some see a key and others do not, it is selected
//         away for those, since 0 * Inf is NaN. GQA and qLen as in plain.wgsl. Dh = 4 HEAD_VECS.

const SIDE : u32 = 8u;          // spec: threads along queries, and along keys and columns
const COLUMNS : u32 = 2u;       // spec: blocks of four columns per thread: 1, 2 or 4
const VALUES : u32 = 32u;       // spec: keys whose values lie in workgroup storage at a time; divides 4 SIDE
const HEAD_VECS : u32 = 16u;    // spec: vec4 of one head, Dh / 4
const SINKS : bool = false;     // spec: each head has a sink
const SOFTCAP : bool = false;   // spec: scores are capped; compiled in, since CPU adapters run both sides of an if
const PAGED : bool = false;     // spec: the rows of a sequence lie in pages that a table names
const KV_F16 : bool = false;    // spec: k and v are packed halves
alias Kv = vec4<u32>;           // spec: four values of k or v: vec4<u32> in f32, vec2<u32> with KV_F16
const LAST : u32 = 3u;          // spec: last word of Kv

const BLOCK : u32 = 4u * SIDE;          // queries, keys of a tile, and columns of q and k at a time
const THREADS : u32 = SIDE * SIDE;
const STRIDE : u32 = SIDE + 1u;         // padded against bank conflicts of the turned stores
const VECS : u32 = SIDE * COLUMNS;      // vec4 of a slab
const SLABS : u32 = (HEAD_VECS + VECS - 1u) / VECS;

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

var<workgroup> tile : array<vec4<f32>, 2u * BLOCK * STRIDE>;   // q, then k; or values, which take no more
var<workgroup> weights : array<vec4<f32>, BLOCK * STRIDE>;
var<workgroup> ofThreads : array<vec4<f32>, THREADS>;

const LOWEST : f32 = -3.4028234663852886e38;   // below every finite score
const UNSEEN : f32 = -1.0;                     // for a weight, which is none

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

// Four numbers from the first on.
fn fourFrom(first : u32) -> vec4<u32> { return vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u); }

// Four rows of sums, and the product of four rows with four columns more.
fn times(sums : mat4x4<f32>, a : vec4<f32>, b : vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(fma(a.xxxx, b, sums[0]), fma(a.yyyy, b, sums[1]), fma(a.zzzz, b, sums[2]), fma(a.wwww, b, sums[3]));
}

// times, but rows that do not see the key keep their sums.
fn timesSeen(sums : mat4x4<f32>, p : vec4<f32>, v : vec4<f32>) -> mat4x4<f32> {
  let next = times(sums, p, v);
  return mat4x4<f32>(select(next[0], sums[0], p.x < 0.0), select(next[1], sums[1], p.y < 0.0),
                     select(next[2], sums[2], p.z < 0.0), select(next[3], sums[3], p.w < 0.0));
}

// Four rows by a number each.
fn scaledRows(rows : mat4x4<f32>, by : vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(rows[0] * by.x, rows[1] * by.y, rows[2] * by.z, rows[3] * by.w);
}

// The highest of four. A NaN may be dropped: its weight is NaN all the same.
fn most(v : vec4<f32>) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }

// Scores of four keys for a query that sees some of them.
fn seenScores(scores : vec4<f32>, seen : vec4<bool>) -> vec4<f32> { return select(vec4<f32>(LOWEST), capped4(scores), seen); }

fn sees(key : vec4<u32>, oldest : u32, numKeys : u32) -> vec4<bool> {
  return (key >= vec4<u32>(oldest)) & (key < vec4<u32>(numKeys));
}

// Weights of four keys.
fn weightsOf(scores : vec4<f32>, highest : f32, seen : vec4<bool>) -> vec4<f32> {
  return select(vec4<f32>(UNSEEN), exp(scores - highest), seen);
}

fn sumSeen(p : vec4<f32>, seen : vec4<bool>) -> f32 {
  let own = select(vec4<f32>(), p, seen);
  return (own.x + own.y) + (own.z + own.w);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let sequence = sequences[params.firstSequence + group.z];
  let firstQuery = params.firstQuery + group.x / SLABS * BLOCK;
  if (firstQuery >= sequence.y) { return; }
  let h = params.firstHead + group.y;
  let firstKey = h / (params.numHeads / params.numKvHeads) * HEAD_VECS;
  let strideKey = params.numKvHeads * HEAD_VECS;
  let down = lane / SIDE;
  let along = lane % SIDE;
  let firstColumn = group.x % SLABS * VECS + along;
  // The thread's queries, what they see, and what the first and the last of the workgroup see.
  let query = min(fourFrom(firstQuery + 4u * down), vec4<u32>(sequence.y - 1u));
  let rowQ = ((sequence.x + query) * params.numHeads + h) * HEAD_VECS;
  let past = sequence.z - sequence.y;
  let causal = params.causal == 1u;
  let numKeys = select(vec4<u32>(sequence.z), past + query + 1u, vec4<bool>(causal));
  let oldest = vec4<u32>(firstVisible(numKeys.x), firstVisible(numKeys.y), firstVisible(numKeys.z), firstVisible(numKeys.w));
  let numKeysOfFirst = select(sequence.z, past + firstQuery + 1u, causal);
  let numKeysOfLast = select(sequence.z, past + min(firstQuery + BLOCK, sequence.y), causal);
  let oldestOfLast = firstVisible(numKeysOfLast);
  var highest = vec4<f32>(LOWEST);
  var sums = vec4<f32>();
  if (SINKS) {
    // A NaN sink is not the highest, but is NaN in the sum.
    highest = max(highest, vec4<f32>(sinks_H[h]));
    if (along == 0u) { sums = vec4<f32>(sinkShare(sinks_H[h], highest.x)); }
  }
  var o0 : mat4x4<f32>;
  var o1 : mat4x4<f32>;
  var o2 : mat4x4<f32>;
  var o3 : mat4x4<f32>;
  for (var first = firstVisible(numKeysOfFirst) / BLOCK * BLOCK; first < numKeysOfLast; first += BLOCK) {
    // Scores: BLOCK columns of q and k at a time. A thread fetches 4 columns of 4 rows of each.
    let rowK = firstKey + rowsOf(sequence.w, min(fourFrom(first + 4u * down), vec4<u32>(numKeysOfLast - 1u))) * strideKey;
    // Given a value: without, Dawn's Vulkan leaves it that of the turn before.
    var s = mat4x4<f32>();
    for (var d = 0u; d < HEAD_VECS; d += SIDE) {
      let at = min(d + along, HEAD_VECS - 1u);
      var q = transpose(mat4x4<f32>(q_THD[rowQ.x + at], q_THD[rowQ.y + at], q_THD[rowQ.z + at], q_THD[rowQ.w + at]));
      let k = transpose(mat4x4<f32>(four(k_RHD[rowK.x + at]), four(k_RHD[rowK.y + at]),
                                    four(k_RHD[rowK.z + at]), four(k_RHD[rowK.w + at])));
      let inside = vec4<bool>(d + along < HEAD_VECS);
      let put = 4u * along * STRIDE + down;
      workgroupBarrier();
      for (var c = 0u; c < 4u; c += 1u) {
        tile[put + c * STRIDE] = select(vec4<f32>(), q[c] * params.scale, inside);
        tile[put + (BLOCK + c) * STRIDE] = select(vec4<f32>(), k[c], inside);
      }
      workgroupBarrier();
      for (var i = 0u; i < BLOCK; i += 1u) {
        s = times(s, tile[i * STRIDE + down], tile[(BLOCK + i) * STRIDE + along]);
      }
    }
    let key = fourFrom(first + 4u * along);
    let seen0 = sees(key, oldest.x, numKeys.x);
    let seen1 = sees(key, oldest.y, numKeys.y);
    let seen2 = sees(key, oldest.z, numKeys.z);
    let seen3 = sees(key, oldest.w, numKeys.w);
    s = mat4x4<f32>(seenScores(s[0], seen0), seenScores(s[1], seen1), seenScores(s[2], seen2), seenScores(s[3], seen3));
    // A NaN score need not be the highest, but its weight is NaN.
    ofThreads[along * SIDE + down] = vec4<f32>(most(s[0]), most(s[1]), most(s[2]), most(s[3]));
    workgroupBarrier();
    var next = highest;
    // The highest of all threads; a NaN may be dropped.
    for (var t = 0u; t < SIDE; t += 1u) { next = max(next, ofThreads[t * SIDE + down]); }
    let shrink = exp(highest - next);
    highest = next;
    let p = mat4x4<f32>(weightsOf(s[0], next.x, seen0), weightsOf(s[1], next.y, seen1),
                        weightsOf(s[2], next.z, seen2), weightsOf(s[3], next.w, seen3));
    sums = sums * shrink + vec4<f32>(sumSeen(p[0], seen0), sumSeen(p[1], seen1), sumSeen(p[2], seen2), sumSeen(p[3], seen3));
    o0 = scaledRows(o0, shrink);
    if (COLUMNS > 1u) { o1 = scaledRows(o1, shrink); }
    if (COLUMNS > 2u) {
      o2 = scaledRows(o2, shrink);
      o3 = scaledRows(o3, shrink);
    }
    let byKey = transpose(p);
    for (var c = 0u; c < 4u; c += 1u) { weights[(4u * along + c) * STRIDE + down] = byKey[c]; }
    // Sums of values: all rows see all keys of most tiles.
    let all = first + BLOCK <= numKeysOfFirst && oldestOfLast <= first;
    for (var start = 0u; start < BLOCK; start += VALUES) {
      if (start > 0u) { workgroupBarrier(); }
      for (var turn = 0u; turn < VALUES * VECS / THREADS; turn += 1u) {
        let at = lane + turn * THREADS;
        let row = rowOf(sequence.w, min(first + start + at / VECS, numKeysOfLast - 1u));
        let column = min(group.x % SLABS * VECS + at % VECS, HEAD_VECS - 1u);
        tile[at] = four(v_RHD[firstKey + row * strideKey + column]);
      }
      workgroupBarrier();
      if (all) {
        for (var j = 0u; j < VALUES; j += 1u) {
          let w = weights[(start + j) * STRIDE + down];
          o0 = times(o0, w, tile[j * VECS + along]);
          if (COLUMNS > 1u) { o1 = times(o1, w, tile[j * VECS + along + SIDE]); }
          if (COLUMNS > 2u) {
            o2 = times(o2, w, tile[j * VECS + along + 2u * SIDE]);
            o3 = times(o3, w, tile[j * VECS + along + 3u * SIDE]);
          }
        }
      } else {
        // Rare, so small: as many keys as any row sees.
        for (var j = 0u; j < min(VALUES, numKeysOfLast - min(first + start, numKeysOfLast)); j += 1u) {
          let w = weights[(start + j) * STRIDE + down];
          o0 = timesSeen(o0, w, tile[j * VECS + along]);
          if (COLUMNS > 1u) { o1 = timesSeen(o1, w, tile[j * VECS + along + SIDE]); }
          if (COLUMNS > 2u) {
            o2 = timesSeen(o2, w, tile[j * VECS + along + 2u * SIDE]);
            o3 = timesSeen(o3, w, tile[j * VECS + along + 3u * SIDE]);
          }
        }
      }
    }
  }
  ofThreads[along * SIDE + down] = sums;
  workgroupBarrier();
  var denominator = vec4<f32>();
  for (var t = 0u; t < SIDE; t += 1u) { denominator += ofThreads[t * SIDE + down]; }
  for (var r = 0u; r < min(4u, sequence.y - min(firstQuery + 4u * down, sequence.y)); r += 1u) {
    let row = rowQ[r];
    if (firstColumn < HEAD_VECS) { o_THD[row + firstColumn] = o0[r] / denominator[r]; }
    if (COLUMNS > 1u && firstColumn + SIDE < HEAD_VECS) { o_THD[row + firstColumn + SIDE] = o1[r] / denominator[r]; }
    if (COLUMNS > 2u && firstColumn + 2u * SIDE < HEAD_VECS) { o_THD[row + firstColumn + 2u * SIDE] = o2[r] / denominator[r]; }
    if (COLUMNS > 2u && firstColumn + 3u * SIDE < HEAD_VECS) { o_THD[row + firstColumn + 3u * SIDE] = o3[r] / denominator[r]; }
  }
}
