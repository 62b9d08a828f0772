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
const VALUES : u32 = 16u;       // spec: keys whose values lie in workgroup storage at a time; divides 4 SIDE
const HEAD_VECS : u32 = 16u;    // spec: vec4 of one head, Dh / 4
const HELD : u32 = 0u;          // spec: blocks of 4 SIDE columns of q that stay in registers, all or 0: fetched for each tile of keys
const AHEAD : bool = false;     // spec: what comes next is fetched while this is multiplied, which takes registers
const SINKS : bool = false;     // spec: each head has a sink
const SOFTCAP : bool = false;   // spec: scores are capped; compiled in, since CPU adapters run both sides of an if
const PAGED : bool = false;     // spec: the rows of a sequence lie in pages that a table names
const KV_F16 : bool = false;    // spec: k and v are packed halves
alias Kv = vec4<u32>;           // spec: four values of k or v: vec4<u32> in f32, vec2<u32> with KV_F16
const LAST : u32 = 3u;          // spec: last word of Kv

const BLOCK : u32 = 4u * SIDE;          // queries, keys of a tile, and columns of q and k at a time
const THREADS : u32 = SIDE * SIDE;
const VECS : u32 = SIDE * COLUMNS;      // vec4 of a slab
const TURNS : u32 = VALUES * VECS / THREADS;   // of fetching values: 2 or 4
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

// A column of q and one of k, by fours of rows; then the weights of a key, and values. Padded against bank conflicts of the
// turned stores.
struct TileRow { left : array<vec4<f32>, SIDE>, right : array<vec4<f32>, SIDE>, unused : vec4<f32> }

// In pairs, so that an index is held within bounds once for two.
var<workgroup> tile : array<array<TileRow, 2>, BLOCK / 2u>;
var<workgroup> ofThreads : array<vec4<f32>, THREADS>;

const LOWEST : f32 = -3.4028234663852886e38;   // below every finite score
const LOG2_E : f32 = 1.4426950408889634;
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

// Whether scores are compared in units of ln 2.
const IN_BITS : bool = !SINKS && !SOFTCAP;

// e^x of scores that are compared in units of ln 2 where nothing else is asked of them: a product less for each.
fn exponential(x : vec4<f32>) -> vec4<f32> {
  if (IN_BITS) { return exp2(x); }
  return exp(x);
}

// What q is multiplied with, in the units of scores.
fn scaleOfScores() -> f32 {
  if (IN_BITS) { return params.scale * LOG2_E; }
  return params.scale;
}

// Four columns of four rows of q, turned and scaled.
fn scaledQ(rows : vec4<u32>, at : u32) -> mat4x4<f32> {
  return transpose(mat4x4<f32>(q_THD[rows.x + at], q_THD[rows.y + at], q_THD[rows.z + at], q_THD[rows.w + at]) * scaleOfScores());
}

// Where the keys of a head lie: the first of the slot, the last that is seen, and from one to the next.
struct Keys { slot : u32, firstRow : u32, lastRow : u32, lastKey : u32, stride : u32 }

// Where four keys begin, `own` behind `first` and ownRows behind its row. Without pages a row is clamped, not a key: that takes
// no product.
fn keyRows(keys : Keys, first : u32, own : u32, ownRows : vec4<u32>) -> vec4<u32> {
  if (PAGED) { return keys.firstRow + rowsOf(keys.slot, min(fourFrom(first + own), vec4<u32>(keys.lastKey))) * keys.stride; }
  return min(keys.firstRow + first * keys.stride + ownRows, vec4<u32>(keys.lastRow));
}

// A group of four columns of four keys.
fn fetchedK(rows : vec4<u32>, d : u32) -> Fetched {
  var at = rows + d;
  if (HEAD_VECS % SIDE > 0u) { at = rows + min(d, HEAD_VECS - 1u); }
  return Fetched(k_RHD[at.x], k_RHD[at.y], k_RHD[at.z], k_RHD[at.w]);
}

// Four columns of a value.
fn valueAt(keys : Keys, key : u32, own : u32, ownRow : u32, column : u32) -> Kv {
  var row = min(keys.firstRow + key * keys.stride + ownRow, keys.lastRow);
  if (PAGED) { row = keys.firstRow + rowOf(keys.slot, min(key + own, keys.lastKey)) * keys.stride; }
  return v_RHD[row + column];
}

// The values that a thread fetches of VALUES keys from `key` on.
fn fetchedV(keys : Keys, key : u32, own : u32, ownRow : u32, column : u32) -> Fetched {
  var values : Fetched;
  values.first = valueAt(keys, key, own, ownRow, column);
  values.second = valueAt(keys, key + THREADS / VECS, own, ownRow, column);
  if (TURNS > 2u) {
    values.third = valueAt(keys, key + 2u * THREADS / VECS, own, ownRow, column);
    values.fourth = valueAt(keys, key + 3u * THREADS / VECS, own, ownRow, column);
  }
  return values;
}

// Four rows by a number each.
fn scaledRows(rows : mat4x4<f32>, by : vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(rows[0] * by.x, rows[1] * by.y, rows[2] * by.z, rows[3] * by.w);
}

// The highest of four. A NaN may be dropped: its weight is NaN all the same.
fn most(v : vec4<f32>) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }

// Which of four keys a query sees.
fn sees(key : vec4<u32>, oldest : u32, numKeys : u32) -> vec4<bool> {
  return (key >= vec4<u32>(oldest)) & (key < vec4<u32>(numKeys));
}

// What a thread has fetched and not yet put into the tile: four rows of k, or of values.
struct Fetched { first : Kv, second : Kv, third : Kv, fourth : Kv }

// Rows with a number where a key is not seen.
fn selected(no : f32, rows : mat4x4<f32>, a : vec4<bool>, b : vec4<bool>, c : vec4<bool>, d : vec4<bool>) -> mat4x4<f32> {
  let none = vec4<f32>(no);
  return mat4x4<f32>(select(none, rows[0], a), select(none, rows[1], b), select(none, rows[2], c), select(none, rows[3], d));
}

// The sum of four weights.
fn sumOf(p : vec4<f32>) -> f32 { return (p.x + p.y) + (p.z + p.w); }

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
  var firstRow = firstKey;
  if (!PAGED) { firstRow += sequence.w * params.cacheLength * strideKey; }
  let keys = Keys(sequence.w, firstRow, firstRow + (numKeysOfLast - 1u) * strideKey, numKeysOfLast - 1u, strideKey);
  // What the thread's keys and values add.
  let ownRows = fourFrom(4u * down) * strideKey;
  let column = min(group.x % SLABS * VECS + lane % VECS, HEAD_VECS - 1u);
  let ownRow = lane / VECS * strideKey;
  var held : array<mat4x4<f32>, max(HELD, 1u)>;
  if (HELD > 0u) {
    for (var i = 0u; i < HELD; i += 1u) { held[i] = scaledQ(rowQ, min(SIDE * i + along, HEAD_VECS - 1u)); }
  }
  var highest = vec4<f32>(LOWEST);
  var sums = vec4<f32>();
  if (SINKS) {
    // A NaN sink is not the highest, but is NaN in the sum.
    highest = max(highest, vec4<f32>(sinks_H[h]));
    if (along == 0u) { sums = vec4<f32>(sinkShare(sinks_H[h], highest.x)); }
  }
  // Bounds that compilers cannot see, since all turns unrolled take too many registers: pairs of columns of q and k, and of keys.
  let pairs = select(0u, BLOCK / 2u, params.headDim > 0u);
  let pairsOfValues = select(0u, VALUES / 2u, params.headDim > 0u);
  var o0 : mat4x4<f32>;
  var o1 : mat4x4<f32>;
  var o2 : mat4x4<f32>;
  var o3 : mat4x4<f32>;
  let oldestOfFirst = firstVisible(numKeysOfFirst);
  let start = oldestOfFirst / BLOCK * BLOCK;
  var fetched : Fetched;
  var rows = keyRows(keys, start, 4u * down, ownRows);
  if (AHEAD) { fetched = fetchedK(rows, along); }
  for (var first = start; first < numKeysOfLast; first += BLOCK) {
    if (!AHEAD) { rows = keyRows(keys, first, 4u * down, ownRows); }
    // Scores: BLOCK columns of q and k at a time. A thread has 4 columns of 4 rows of each.
    // Given a value: without, Dawn's Vulkan leaves it that of the turn before.
    var s = mat4x4<f32>();
    for (var d = 0u; d < HEAD_VECS; d += SIDE) {
      let at = min(d + along, HEAD_VECS - 1u);
      var q : mat4x4<f32>;
      if (HELD > 0u) { q = held[d / SIDE]; } else { q = scaledQ(rowQ, at); }
      if (!AHEAD) { fetched = fetchedK(rows, d + along); }
      let k = transpose(mat4x4<f32>(four(fetched.first), four(fetched.second), four(fetched.third), four(fetched.fourth)));
      let inside = vec4<bool>(HEAD_VECS % SIDE == 0u || d + along < HEAD_VECS);
      workgroupBarrier();
      for (var c = 0u; c < 4u; c += 1u) {
        tile[2u * along + c / 2u][c % 2u].left[down] = select(vec4<f32>(), q[c], inside);
        tile[2u * along + c / 2u][c % 2u].right[down] = select(vec4<f32>(), k[c], inside);
      }
      workgroupBarrier();
      // Under a condition, or Mesa moves the loads down to their use, behind the products.
      if (AHEAD && pairs > 0u) {
        if (d + SIDE < HEAD_VECS) {
          fetched = fetchedK(rows, d + SIDE + along);
        } else {
          fetched = fetchedV(keys, first, lane / VECS, ownRow, column);
        }
      }
      for (var i = 0u; i < pairs; i += 1u) {
        for (var c = 0u; c < 2u; c += 1u) { s = times(s, tile[i][c].left[down], tile[i][c].right[along]); }
      }
    }
    // All rows see all keys of most tiles.
    let all = first + BLOCK <= numKeysOfFirst && oldestOfLast <= first;
    var seen0 = vec4<bool>();
    var seen1 = vec4<bool>();
    var seen2 = vec4<bool>();
    var seen3 = vec4<bool>();
    s = mat4x4<f32>(capped4(s[0]), capped4(s[1]), capped4(s[2]), capped4(s[3]));
    if (!all) {
      let key = fourFrom(first + 4u * along);
      seen0 = sees(key, oldest.x, numKeys.x);
      seen1 = sees(key, oldest.y, numKeys.y);
      seen2 = sees(key, oldest.z, numKeys.z);
      seen3 = sees(key, oldest.w, numKeys.w);
      s = selected(LOWEST, s, seen0, seen1, seen2, seen3);
    }
    // A NaN score need not be the highest, but its weight is NaN.
    ofThreads[along * SIDE + down] = vec4<f32>(most(s[0]), most(s[1]), most(s[2]), most(s[3]));
    workgroupBarrier();
    var next = highest;
    // The highest of all threads; a NaN may be dropped.
    for (var t = 0u; t < SIDE; t += 1u) { next = max(next, ofThreads[t * SIDE + down]); }
    let shrink = exponential(highest - next);
    highest = next;
    var p = mat4x4<f32>(exponential(s[0] - next.x), exponential(s[1] - next.y), exponential(s[2] - next.z), exponential(s[3] - next.w));
    if (all) {
      sums = sums * shrink + vec4<f32>(sumOf(p[0]), sumOf(p[1]), sumOf(p[2]), sumOf(p[3]));
    } else {
      let own = selected(0.0, p, seen0, seen1, seen2, seen3);
      sums = sums * shrink + vec4<f32>(sumOf(own[0]), sumOf(own[1]), sumOf(own[2]), sumOf(own[3]));
      p = selected(UNSEEN, p, seen0, seen1, seen2, seen3);
    }
    o0 = scaledRows(o0, shrink);
    if (COLUMNS > 1u) { o1 = scaledRows(o1, shrink); }
    if (COLUMNS > 2u) {
      o2 = scaledRows(o2, shrink);
      o3 = scaledRows(o3, shrink);
    }
    let byKey = transpose(p);
    for (var c = 0u; c < 4u; c += 1u) { tile[2u * along + c / 2u][c % 2u].left[down] = byKey[c]; }
    // Sums of values. A key's columns lie in COLUMNS rows of SIDE.
    for (var chunk = 0u; chunk < BLOCK; chunk += VALUES) {
      if (!AHEAD) { fetched = fetchedV(keys, first + chunk, lane / VECS, ownRow, column); }
      if (chunk > 0u) { workgroupBarrier(); }
      tile[lane / SIDE / 2u][lane / SIDE % 2u].right[along] = four(fetched.first);
      tile[SIDE / 2u * 1u + lane / SIDE / 2u][lane / SIDE % 2u].right[along] = four(fetched.second);
      if (TURNS > 2u) {
        tile[SIDE / 2u * 2u + lane / SIDE / 2u][lane / SIDE % 2u].right[along] = four(fetched.third);
        tile[SIDE / 2u * 3u + lane / SIDE / 2u][lane / SIDE % 2u].right[along] = four(fetched.fourth);
      }
      workgroupBarrier();
      if (AHEAD && chunk + VALUES == BLOCK) { rows = keyRows(keys, first + BLOCK, 4u * down, ownRows); }
      if (AHEAD && pairs > 0u) {
        if (chunk + VALUES < BLOCK) {
          fetched = fetchedV(keys, first + chunk + VALUES, lane / VECS, ownRow, column);
        } else {
          fetched = fetchedK(rows, along);
        }
      }
      if (all) {
        for (var i = 0u; i < pairsOfValues; i += 1u) {
          for (var c = 0u; c < 2u; c += 1u) {
            let w = tile[chunk / 2u + i][c].left[down];
            o0 = times(o0, w, tile[i * COLUMNS + c * COLUMNS / 2u][(c * COLUMNS) % 2u].right[along]);
            if (COLUMNS > 1u) { o1 = times(o1, w, tile[i * COLUMNS + (c * COLUMNS + 1u) / 2u][(c * COLUMNS + 1u) % 2u].right[along]); }
            if (COLUMNS > 2u) {
              o2 = times(o2, w, tile[i * COLUMNS + (c * COLUMNS + 2u) / 2u][(c * COLUMNS + 2u) % 2u].right[along]);
              o3 = times(o3, w, tile[i * COLUMNS + (c * COLUMNS + 3u) / 2u][(c * COLUMNS + 3u) % 2u].right[along]);
            }
          }
        }
      } else if (first + chunk < numKeysOfLast && first + chunk + VALUES > oldestOfFirst) {
        // Rare, so small: as many keys as any row sees.
        for (var j = 0u; j < min(VALUES, numKeysOfLast - (first + chunk)); j += 1u) {
          let w = tile[(chunk + j) / 2u][(chunk + j) % 2u].left[down];
          let row = j * COLUMNS;
          let v = mat4x4<f32>(tile[row / 2u][row % 2u].right[along], tile[(row + 1u) / 2u][(row + 1u) % 2u].right[along],
                              tile[(row + 2u) / 2u][row % 2u].right[along], tile[(row + 3u) / 2u][(row + 1u) % 2u].right[along]);
          for (var r = 0u; r < 4u; r += 1u) {
            if (w[r] < 0.0) { continue; }
            o0[r] = fma(vec4<f32>(w[r]), v[0], o0[r]);
            if (COLUMNS > 1u) { o1[r] = fma(vec4<f32>(w[r]), v[1], o1[r]); }
            if (COLUMNS > 2u) {
              o2[r] = fma(vec4<f32>(w[r]), v[2], o2[r]);
              o3[r] = fma(vec4<f32>(w[r]), v[3], o3[r]);
            }
          }
        }
      }
    }
  }
  ofThreads[along * SIDE + down] = sums;
  workgroupBarrier();
  var denominator = vec4<f32>();
  for (var t = 0u; t < SIDE; t += 1u) { denominator += ofThreads[t * SIDE + down]; }
  for (var r = 0u; r < 4u; r += 1u) {
    if (firstQuery + 4u * down + r >= sequence.y) { continue; }
    let row = rowQ[r];
    if (firstColumn < HEAD_VECS) { o_THD[row + firstColumn] = o0[r] / denominator[r]; }
    if (COLUMNS > 1u && firstColumn + SIDE < HEAD_VECS) { o_THD[row + firstColumn + SIDE] = o1[r] / denominator[r]; }
    if (COLUMNS > 2u && firstColumn + 2u * SIDE < HEAD_VECS) { o_THD[row + firstColumn + 2u * SIDE] = o2[r] / denominator[r]; }
    if (COLUMNS > 2u && firstColumn + 3u * SIDE < HEAD_VECS) { o_THD[row + firstColumn + 3u * SIDE] = o3[r] / denominator[r]; }
  }
}
