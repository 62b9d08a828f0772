// o = softmax(scale * q k^T) v per query and head by matrix units: f16 by f16, sums in f32.
// Grid    x: blocks of queries by slabs of columns, y: heads, z: sequences; a slab scores its keys anew.
// Memory  two products of tiles in workgroup storage: scores of BLOCK queries by KEYS keys, then weights by values, which lie
//         turned, so that both operands are read along what is summed. A value of q, of the weights, and of a cache in f32, is
//         two halves, of which 22 bits take part. Sums of values stay in matrices; a row's weights are told from a highest
//         score that may lag behind, so that they are rarely multiplied anew.
// Order   online softmax over tiles in ascending order (Milakov and Gimelshein, arXiv 1805.02867), a matrix at a time, in
//         whose order the adapter adds: the same bits on every run.
// Edges   a power of two per row of q, of k and of v keeps them within f16, those of v taken back in the weights. Keys that a
//         query does not see weigh 0; where anything is Inf or NaN, which 0 does not take away, all is computed anew without
//         matrices. Tiles that no query sees are skipped; GQA and qLen as in plain.wgsl. Dh = 4 HEAD_VECS, beyond is zero.

enable f16;
enable subgroups;
enable subgroup_size_control;
enable chromium_experimental_subgroup_matrix;

const LANES : u32 = 8u;         // spec: of a subgroup; at least 8
const SUBGROUPS_M : u32 = 2u;   // spec: subgroups along queries
const SUBGROUPS_N : u32 = 2u;   // spec: subgroups along keys and columns
const REG_M : u32 = 2u;         // spec: matrices of a subgroup along queries
const DIM_M : u32 = 8u;         // spec: rows of a matrix of sums
const DIM_N : u32 = 8u;         // spec: its columns; a multiple of 4
const DIM_K : u32 = 8u;         // spec: terms of one product; a multiple of 8
const KEYS : u32 = 32u;         // spec: keys of a tile, and columns of q and k at a time
const COLUMNS : u32 = 64u;      // spec: of a slab
const HEAD_VECS : u32 = 16u;    // spec: vec4 of one head, Dh / 4
const SINKS : bool = false;     // spec: each head has a sink
const SOFTCAP : bool = false;   // spec: scores are capped; compiled in, since CPU adapters run both sides of an if
const PAGED : bool = false;     // spec: the rows of a sequence lie in pages that a table names
const KV_F16 : bool = false;    // spec: k and v are packed halves
alias Kv = vec4<u32>;           // spec: four values of k or v: vec4<u32> in f32, vec2<u32> with KV_F16
const LAST : u32 = 3u;          // spec: last word of Kv

alias Left = subgroup_matrix_left<f16, DIM_K, DIM_M>;
alias Right = subgroup_matrix_right<f16, DIM_N, DIM_K>;
alias Result = subgroup_matrix_result<f32, DIM_N, DIM_M>;

const THREADS : u32 = LANES * SUBGROUPS_M * SUBGROUPS_N;
const BLOCK : u32 = SUBGROUPS_M * REG_M * DIM_M;          // queries
const REG_S : u32 = KEYS / (SUBGROUPS_N * DIM_N);         // matrices of a subgroup along keys
const REG_O : u32 = COLUMNS / (SUBGROUPS_N * DIM_N);      // and along columns
const VECS : u32 = COLUMNS / 4u;                          // vec4 of a slab
const SLABS : u32 = (HEAD_VECS + VECS - 1u) / VECS;
const UNITS : u32 = KEYS / 8u;          // vec4 of eight halves in a row of a tile
const STRIDE : u32 = UNITS + 1u;        // padded against bank conflicts
const ROWS : u32 = THREADS / UNITS;     // of a tile that are fetched in a turn
const TURNS_Q : u32 = BLOCK * UNITS / THREADS;
const TURNS_K : u32 = KEYS * UNITS / THREADS;
const ROW_LANES : u32 = min(8u, LANES); // that look for the largest magnitude of a row
const ROWS_AT_ONCE : u32 = THREADS / ROW_LANES;
const SHARE : u32 = THREADS / BLOCK;    // lanes that weigh the keys of one query
const OWN : u32 = UNITS / SHARE;        // eights of keys of each
// Where the tiles of q, its second halves, k and its second halves lie.
const REST_Q : u32 = BLOCK * STRIDE;
const TILE_K : u32 = 2u * BLOCK * STRIDE;
const REST_K : u32 = TILE_K + KEYS * STRIDE;
// In the same place scores after them, whose rows become weights and their second halves; behind those values, or sums.
const STRIP_S : u32 = KEYS / 4u + 1u;
const BEHIND : u32 = BLOCK * STRIP_S;
const REST_V : u32 = COLUMNS * STRIDE;
const OWN_VECS : u32 = REG_O * DIM_N / 4u;   // columns of a subgroup, as vec4
const STRIP_O : u32 = OWN_VECS + 1u;
const OPERANDS : u32 = REST_K + select(KEYS * STRIDE, 0u, KV_F16);
const VALUES : u32 = REST_V * select(2u, 1u, KV_F16);
const SUMS : u32 = SUBGROUPS_M * SUBGROUPS_N * DIM_M * STRIP_O;

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

var<workgroup> tile : array<vec4<u32>, max(OPERANDS, BEHIND + max(VALUES, SUMS))>;
// Exponents of rows of q, k and v, biased by 127; at last, in place of q's, those of the units of sums.
var<workgroup> powers : array<u32, BLOCK + 2u * KEYS>;
var<workgroup> factors : array<f32, BLOCK>;              // of sums of values: what they shrink by; at last their denominators
var<workgroup> extremes : array<atomic<u32>, 1>;         // rows with Inf or NaN
var<workgroup> shrunk : array<atomic<u32>, 1>;           // rows whose sums shrink with this tile

const LOWEST : f32 = -3.4028234663852886e38;   // below every finite score
const LOG2_E : f32 = 1.4426950408889634;
// By how much a score may exceed the highest that weights are told from, and a weight its row's power of two.
const IN_BITS : bool = !SINKS && !SOFTCAP;
const SLACK : f32 = select(2.75, 4.0, IN_BITS);
const SLACK_BITS : i32 = 4;
const WEIGHT_BITS : i32 = 10;   // weights of a row are at most 2^(1 + SLACK_BITS + WEIGHT_BITS)
const NONE : i32 = -1000;       // an exponent below all

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

// Which of four keys a query sees.
fn sees(key : vec4<u32>, oldest : u32, numKeys : u32) -> vec4<bool> {
  return (key >= vec4<u32>(oldest)) & (key < vec4<u32>(numKeys));
}

// The highest of four. A NaN may be dropped: its weight is NaN all the same.
fn most(v : vec4<f32>) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }

// The sum of four weights.
fn sumOf(p : vec4<f32>) -> f32 { return (p.x + p.y) + (p.z + p.w); }

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

// The first eleven bits of each, rounded: by bits, since a compiler may take f32(f16(x)) for x.
fn leading4(v : vec4<f32>) -> vec4<f32> {
  return bitcast<vec4<f32>>((bitcast<vec4<u32>>(v) + vec4<u32>(0x1000u)) & vec4<u32>(0xffffe000u));
}

// The first halves of values.
fn leading8(v : mat2x4<f32>) -> mat2x4<f32> { return mat2x4<f32>(leading4(v[0]), leading4(v[1])); }

// What those leave; of Inf and NaN it is NaN.
fn rest8(v : mat2x4<f32>) -> mat2x4<f32> { return mat2x4<f32>(v[0] - leading4(v[0]), v[1] - leading4(v[1])); }

// Eight values as halves.
fn packed8(v : mat2x4<f32>) -> vec4<u32> {
  return vec4<u32>(bitcast<vec2<u32>>(vec4<f16>(v[0])), bitcast<vec2<u32>>(vec4<f16>(v[1])));
}

// Eight halves of which the first or the last four, or all, or none lie within a row.
fn within8(halves : vec4<u32>, near : bool, far : bool) -> vec4<u32> {
  return select(vec4<u32>(), halves, vec4<bool>(near, near, far, far));
}

// Puts eight values along what is summed into a tile as first halves and, `rest` further on, second ones.
fn putHalves(at : u32, rest : u32, v : mat2x4<f32>, near : bool, far : bool) {
  tile[at] = within8(packed8(leading8(v)), near, far);
  tile[at + rest] = within8(packed8(rest8(v)), near, far);
}

// The largest of magnitudes as bits, which are in their order; NaN is the largest.
fn mostOf(v : vec4<f32>) -> u32 {
  let bits = bitcast<vec4<u32>>(abs(v));
  return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

// The largest of ROW_LANES lanes, in all of them.
fn mostOfLanes(own : u32) -> u32 {
  var largest = max(own, subgroupShuffleXor(own, 1u));
  largest = max(largest, subgroupShuffleXor(largest, 2u));
  return max(largest, subgroupShuffleXor(largest, 4u));
}

// The exponent of a row's largest magnitude as f32 has it, biased by 127.
fn exponentOf(most : u32) -> u32 { return most >> 23u; }

// The exponent of a power of two that brings the largest magnitude of a row between 2^14 and 2^15, biased by 127.
fn exponentFor(most : u32) -> u32 { return clamp(268u - exponentOf(most), 1u, 253u); }

// 2^exponent, biased by 127.
fn powerOf(exponent : u32) -> f32 { return bitcast<f32>(exponent << 23u); }

// Values times 2^exponent each, in two steps, so that a power beyond f32 is none of them.
fn timesPowers(v : vec4<f32>, exponent : vec4<i32>) -> vec4<f32> {
  let bound = clamp(exponent, vec4<i32>(-252), vec4<i32>(252));
  let first = bound >> vec4<u32>(1u);
  let second = bound - first;
  return v * bitcast<vec4<f32>>((first + vec4<i32>(127)) << vec4<u32>(23u)) * bitcast<vec4<f32>>((second + vec4<i32>(127)) << vec4<u32>(23u));
}

// Whether any of the halves of four words is Inf or NaN.
fn hasEnd(words : vec4<u32>) -> bool {
  let low = (words & vec4<u32>(0x7c00u)) == vec4<u32>(0x7c00u);
  let high = (words & vec4<u32>(0x7c000000u)) == vec4<u32>(0x7c000000u);
  return any(low | high);
}

// Where the keys of a head lie: their slot, the first and the last that are seen, the head's first vec4, and from one to the next.
struct Cached { slot : u32, oldest : u32, last : u32, head : u32, stride : u32 }

// Where a key begins; one that nobody sees is the nearest that somebody does.
fn startOf(keys : Cached, key : u32) -> u32 {
  return rowOf(keys.slot, clamp(key, keys.oldest, keys.last)) * keys.stride + keys.head;
}

// The exponents of four keys' powers, from a place in `powers` on; halves have none.
fn exponents4(first : u32) -> vec4<i32> {
  if (KV_F16) { return vec4<i32>(); }
  return vec4<i32>(127) - vec4<i32>(vec4<u32>(powers[first], powers[first + 1u], powers[first + 2u], powers[first + 3u]));
}

// Four halves of four keys each in its own column, of keys one above the other.
fn column4(a : vec2<u32>, b : vec2<u32>, c : u32) -> u32 {
  let shift = 16u * (c % 2u);
  return ((a[c / 2u] >> shift) & 0xffffu) | (((b[c / 2u] >> shift) & 0xffffu) << 16u);
}

// A score without matrices, of a query with a key.
fn exactScore(rowQ : u32, at : u32) -> f32 {
  var sum = vec4<f32>();
  for (var d = 0u; d < params.headDim / 4u; d += 1u) { sum = fma(q_THD[rowQ + d] * scaleOfScores(), four(k_RHD[at + d]), sum); }
  return capped4(vec4<f32>(sumOf(sum))).x;
}

// Four columns of a query's result without matrices: Inf and NaN of a key that it does not see take no part.
fn exactly(keys : Cached, h : u32, rowQ : u32, column : u32, oldest : u32, numKeys : u32) -> vec4<f32> {
  var highest = LOWEST;
  // A NaN sink is not the highest, but is NaN in the sum.
  if (SINKS) { highest = max(highest, sinks_H[h]); }
  // A NaN score need not be the highest, but its weight is NaN.
  for (var j = oldest; j < numKeys; j += 1u) { highest = max(highest, exactScore(rowQ, startOf(keys, j))); }
  var denominator = 0.0;
  if (SINKS) { denominator = sinkShare(sinks_H[h], highest); }
  var sum = vec4<f32>();
  for (var j = oldest; j < numKeys; j += 1u) {
    let at = startOf(keys, j);
    let p = exponential(vec4<f32>(exactScore(rowQ, at) - highest)).x;
    denominator += p;
    sum = fma(vec4<f32>(p), four(v_RHD[at + column]), sum);
  }
  return sum / denominator;
}

@compute @workgroup_size(THREADS) @subgroup_size(LANES)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32,
        @builtin(subgroup_id) subgroup : u32) {
  let sequence = sequences[params.firstSequence + group.z];
  let firstQuery = params.firstQuery + group.x / SLABS * BLOCK;
  if (firstQuery >= sequence.y) { return; }
  let firstVec = group.x % SLABS * VECS;
  let h = params.firstHead + group.y;
  let past = sequence.z - sequence.y;
  let headVecs = params.headDim / 4u;   // HEAD_VECS, which compilers would unroll loops by
  let causal = params.causal == 1u;
  // What the first and the last query of the workgroup see.
  let numKeysOfFirst = select(sequence.z, past + firstQuery + 1u, causal);
  let numKeysOfLast = select(sequence.z, past + min(firstQuery + BLOCK, sequence.y), causal);
  let oldestOfFirst = firstVisible(numKeysOfFirst);
  let oldestOfLast = firstVisible(numKeysOfLast);
  let keys = Cached(sequence.w, oldestOfFirst, numKeysOfLast - 1u, h / (params.numHeads / params.numKvHeads) * HEAD_VECS,
                  params.numKvHeads * HEAD_VECS);
  // Rows of the tiles where the subgroup's matrices begin, of scores and of sums.
  let down = subgroup / SUBGROUPS_N * REG_M * DIM_M;
  let alongKeys = subgroup % SUBGROUPS_N * REG_S * DIM_N;
  let alongColumns = subgroup % SUBGROUPS_N * REG_O * DIM_N;
  // The query whose keys the thread weighs, with other lanes, and what it sees.
  let own = lane / SHARE;
  let part = lane % SHARE;
  let query = min(firstQuery + own, sequence.y - 1u);
  let numKeys = select(sequence.z, past + query + 1u, causal);
  let oldest = firstVisible(numKeys);
  for (var turn = 0u; turn < BLOCK / ROWS_AT_ONCE; turn += 1u) {
    let row = lane / ROW_LANES + turn * ROWS_AT_ONCE;
    let at = ((sequence.x + min(firstQuery + row, sequence.y - 1u)) * params.numHeads + h) * HEAD_VECS;
    var largest = 0u;
    for (var d = lane % ROW_LANES; d < headVecs; d += ROW_LANES) { largest = max(largest, mostOf(q_THD[at + d] * scaleOfScores())); }
    largest = mostOfLanes(largest);
    if (lane % ROW_LANES == 0u) {
      powers[row] = exponentFor(largest);
      if (largest >= 0x7f800000u) { atomicAdd(&extremes[0], 1u); }
    }
  }
  var highest = LOWEST;
  var sum = 0.0;
  if (SINKS) {
    // A NaN sink is not the highest, but is NaN in the sum.
    highest = max(highest, sinks_H[h]);
    if (part == 0u) { sum = sinkShare(sinks_H[h], highest); }
  }
  var held = NONE;   // sums of values are in units of 2^(held - WEIGHT_BITS)
  var sums : array<Result, REG_M * REG_O>;
  for (var i = 0u; i < REG_M * REG_O; i += 1u) { sums[i] = Result(); }
  let k = 2u * (lane % UNITS);
  for (var first = oldestOfFirst / KEYS * KEYS; first < numKeysOfLast; first += KEYS) {
    if (!KV_F16) {
      for (var turn = 0u; turn < 2u * KEYS / ROWS_AT_ONCE; turn += 1u) {
        let row = lane / ROW_LANES + turn * ROWS_AT_ONCE;
        let at = startOf(keys, first + row % KEYS);
        var largest = 0u;
        for (var d = lane % ROW_LANES; d < headVecs; d += ROW_LANES) {
          if (row < KEYS) { largest = max(largest, mostOf(four(k_RHD[at + d]))); } else { largest = max(largest, mostOf(four(v_RHD[at + d]))); }
        }
        largest = mostOfLanes(largest);
        if (lane % ROW_LANES == 0u) {
          powers[BLOCK + row] = exponentFor(largest);
          if (largest >= 0x7f800000u) { atomicAdd(&extremes[0], 1u); }
        }
      }
    }
    // Scores: KEYS columns of q and k at a time.
    var s : array<Result, REG_M * REG_S>;
    for (var i = 0u; i < REG_M * REG_S; i += 1u) { s[i] = Result(); }
    for (var d = 0u; d < headVecs; d += 2u * UNITS) {
      let nearInside = d + k < HEAD_VECS;
      let farInside = d + k + 1u < HEAD_VECS;
      let near = min(d + k, HEAD_VECS - 1u);
      let far = min(d + k + 1u, HEAD_VECS - 1u);
      var q : array<mat2x4<f32>, TURNS_Q>;
      var nearOfKeys : array<Kv, TURNS_K>;
      var farOfKeys : array<Kv, TURNS_K>;
      for (var i = 0u; i < TURNS_Q; i += 1u) {
        let row = min(firstQuery + lane / UNITS + i * ROWS, sequence.y - 1u);
        let at = ((sequence.x + row) * params.numHeads + h) * HEAD_VECS;
        q[i] = mat2x4<f32>(q_THD[at + near], q_THD[at + far]);
      }
      for (var i = 0u; i < TURNS_K; i += 1u) {
        let at = startOf(keys, first + lane / UNITS + i * ROWS);
        nearOfKeys[i] = k_RHD[at + near];
        farOfKeys[i] = k_RHD[at + far];
      }
      workgroupBarrier();
      for (var i = 0u; i < TURNS_Q; i += 1u) {
        let row = lane / UNITS + i * ROWS;
        let values = (q[i] * scaleOfScores()) * powerOf(powers[row]);
        putHalves(row * STRIDE + lane % UNITS, REST_Q, values, nearInside, farInside);
      }
      for (var i = 0u; i < TURNS_K; i += 1u) {
        let row = lane / UNITS + i * ROWS;
        let put = TILE_K + row * STRIDE + lane % UNITS;
        if (KV_F16) {
          let halves = vec4<u32>(nearOfKeys[i].xy, farOfKeys[i].xy);
          if (hasEnd(halves)) { atomicAdd(&extremes[0], 1u); }
          tile[put] = within8(halves, nearInside, farInside);
        } else {
          let values = mat2x4<f32>(four(nearOfKeys[i]), four(farOfKeys[i])) * powerOf(powers[BLOCK + row]);
          putHalves(put, REST_K - TILE_K, values, nearInside, farInside);
        }
      }
      workgroupBarrier();
      for (var step = 0u; step < UNITS; step += DIM_K / 8u) {
        var right : array<Right, REG_S>;
        for (var j = 0u; j < REG_S; j += 1u) {
          right[j] = subgroupMatrixLoad<Right, col_major>(&tile, TILE_K + (alongKeys + j * DIM_N) * STRIDE + step, STRIDE);
        }
        for (var i = 0u; i < REG_M; i += 1u) {
          let left = subgroupMatrixLoad<Left, row_major>(&tile, (down + i * DIM_M) * STRIDE + step, STRIDE);
          let rest = subgroupMatrixLoad<Left, row_major>(&tile, REST_Q + (down + i * DIM_M) * STRIDE + step, STRIDE);
          for (var j = 0u; j < REG_S; j += 1u) {
            s[i * REG_S + j] = subgroupMatrixMultiplyAccumulate(left, right[j], s[i * REG_S + j]);
            s[i * REG_S + j] = subgroupMatrixMultiplyAccumulate(rest, right[j], s[i * REG_S + j]);
            if (!KV_F16) {
              let second = subgroupMatrixLoad<Right, col_major>(&tile, REST_K + (alongKeys + j * DIM_N) * STRIDE + step, STRIDE);
              s[i * REG_S + j] = subgroupMatrixMultiplyAccumulate(left, second, s[i * REG_S + j]);
            }
          }
        }
      }
    }
    workgroupBarrier();
    for (var i = 0u; i < REG_M; i += 1u) {
      for (var j = 0u; j < REG_S; j += 1u) {
        subgroupMatrixStore<row_major>(&tile, (down + i * DIM_M) * STRIP_S + (alongKeys + j * DIM_N) / 4u, s[i * REG_S + j], STRIP_S);
      }
    }
    workgroupBarrier();
    // Weights: a lane has OWN eights of the keys of one query. All rows see all keys of most tiles.
    let all = first + KEYS <= numKeysOfFirst && oldestOfLast <= first;
    var p : array<vec4<f32>, 2u * OWN>;
    var tops = LOWEST;
    for (var n = 0u; n < 2u * OWN; n += 1u) {
      let key = 2u * part * OWN + n;
      let exponent = vec4<i32>(127 - i32(powers[own])) + exponents4(BLOCK + 4u * key);
      p[n] = capped4(timesPowers(bitcast<vec4<f32>>(tile[own * STRIP_S + key]), exponent));
      if (!all) { p[n] = select(vec4<f32>(LOWEST), p[n], sees(fourFrom(first + 4u * key), oldest, numKeys)); }
      // A NaN score need not be the highest, but its weight is NaN.
      tops = max(tops, most(p[n]));
    }
    for (var step = 1u; step < SHARE; step *= 2u) {
      // A NaN may be dropped, as above.
      tops = max(tops, subgroupShuffleXor(tops, step));
    }
    let next = select(highest, tops, tops > highest + SLACK);
    let shrink = select(exponential(vec4<f32>(highest - next)).x, 1.0, next == highest);
    highest = next;
    var total = 0.0;
    var largest = vec4<i32>(NONE);
    for (var n = 0u; n < 2u * OWN; n += 1u) {
      let key = 2u * part * OWN + n;
      p[n] = exponential(p[n] - next);
      if (!all) { p[n] = select(vec4<f32>(), p[n], sees(fourFrom(first + 4u * key), oldest, numKeys)); }
      total += sumOf(p[n]);
      let bits = bitcast<vec4<u32>>(p[n]);
      let exponent = vec4<i32>(bits >> vec4<u32>(23u)) - 127 + exponents4(BLOCK + KEYS + 4u * key);
      largest = max(largest, select(vec4<i32>(NONE), exponent, bits > vec4<u32>()));
    }
    sum = sum * shrink + total;
    var ofRow = max(max(largest.x, largest.y), max(largest.z, largest.w));
    for (var step = 1u; step < SHARE; step *= 2u) { ofRow = max(ofRow, subgroupShuffleXor(ofRow, step)); }
    let kept = held + select(0, i32(exponentOf(bitcast<u32>(shrink))) - 127, held > NONE);
    let unit = select(kept, ofRow, ofRow > kept + SLACK_BITS);
    if (part == 0u) {
      factors[own] = timesPowers(vec4<f32>(shrink), vec4<i32>(held - unit)).x;
      if (held > NONE && (shrink != 1.0 || unit != held)) { atomicAdd(&shrunk[0], 1u); }
    }
    held = unit;
    // All have read their scores here.
    let shrinks = workgroupUniformLoad(&shrunk[0]) > 0u;
    for (var n = 0u; n < OWN; n += 1u) {
      let key = BLOCK + KEYS + 8u * (part * OWN + n);
      let weights = mat2x4<f32>(timesPowers(p[2u * n], exponents4(key) + (WEIGHT_BITS - unit)),
                                timesPowers(p[2u * n + 1u], exponents4(key + 4u) + (WEIGHT_BITS - unit)));
      putHalves(own * STRIP_S + part * OWN + n, UNITS, weights, true, true);
    }
    if (shrinks) {
      // DIM_M rows of each subgroup at a time, through workgroup storage.
      for (var i = 0u; i < REG_M; i += 1u) {
        // By a test: an array that a loop with barriers indexes lies in memory.
        for (var j = 0u; j < REG_M * REG_O; j += 1u) {
          if (j / REG_O == i) {
            subgroupMatrixStore<row_major>(&tile, BEHIND + subgroup * DIM_M * STRIP_O + j % REG_O * DIM_N / 4u, sums[j], STRIP_O);
          }
        }
        workgroupBarrier();
        for (var at = lane; at < SUBGROUPS_M * SUBGROUPS_N * DIM_M * OWN_VECS; at += THREADS) {
          let strip = at / OWN_VECS;
          let row = (strip / DIM_M / SUBGROUPS_N * REG_M + i) * DIM_M + strip % DIM_M;
          let place = BEHIND + strip * STRIP_O + at % OWN_VECS;
          tile[place] = bitcast<vec4<u32>>(bitcast<vec4<f32>>(tile[place]) * factors[row]);
        }
        workgroupBarrier();
        for (var j = 0u; j < REG_M * REG_O; j += 1u) {
          if (j / REG_O == i) {
            sums[j] = subgroupMatrixLoad<Result, row_major>(&tile, BEHIND + subgroup * DIM_M * STRIP_O + j % REG_O * DIM_N / 4u, STRIP_O);
          }
        }
        workgroupBarrier();
      }
      if (lane == 0u) { atomicStore(&shrunk[0], 0u); }
    }
    // Values, turned: four columns of eight keys a thread.
    for (var at = lane; at < UNITS * VECS; at += THREADS) {
      let vec = at % VECS;
      let eight = at / VECS;
      let column = min(firstVec + vec, HEAD_VECS - 1u);
      let inside = firstVec + vec < HEAD_VECS;
      var v : array<Kv, 8>;
      for (var j = 0u; j < 8u; j += 1u) { v[j] = v_RHD[startOf(keys, first + 8u * eight + j) + column]; }
      let put = BEHIND + 4u * vec * STRIDE + eight;
      if (KV_F16) {
        for (var c = 0u; c < 4u; c += 1u) {
          let halves = vec4<u32>(column4(v[0].xy, v[1].xy, c), column4(v[2].xy, v[3].xy, c),
                                 column4(v[4].xy, v[5].xy, c), column4(v[6].xy, v[7].xy, c));
          if (inside && hasEnd(halves)) { atomicAdd(&extremes[0], 1u); }
          tile[put + c * STRIDE] = within8(halves, inside, inside);
        }
      } else {
        let key = BLOCK + KEYS + 8u * eight;
        let near = transpose(mat4x4<f32>(four(v[0]) * powerOf(powers[key]), four(v[1]) * powerOf(powers[key + 1u]),
                                         four(v[2]) * powerOf(powers[key + 2u]), four(v[3]) * powerOf(powers[key + 3u])));
        let far = transpose(mat4x4<f32>(four(v[4]) * powerOf(powers[key + 4u]), four(v[5]) * powerOf(powers[key + 5u]),
                                        four(v[6]) * powerOf(powers[key + 6u]), four(v[7]) * powerOf(powers[key + 7u])));
        for (var c = 0u; c < 4u; c += 1u) {
          putHalves(put + c * STRIDE, REST_V, mat2x4<f32>(near[c], far[c]), inside, inside);
        }
      }
    }
    workgroupBarrier();
    for (var step = 0u; step < UNITS; step += DIM_K / 8u) {
      var right : array<Right, REG_O>;
      for (var j = 0u; j < REG_O; j += 1u) {
        right[j] = subgroupMatrixLoad<Right, col_major>(&tile, BEHIND + (alongColumns + j * DIM_N) * STRIDE + step, STRIDE);
      }
      for (var i = 0u; i < REG_M; i += 1u) {
        let left = subgroupMatrixLoad<Left, row_major>(&tile, (down + i * DIM_M) * STRIP_S + step, STRIP_S);
        let rest = subgroupMatrixLoad<Left, row_major>(&tile, (down + i * DIM_M) * STRIP_S + UNITS + step, STRIP_S);
        for (var j = 0u; j < REG_O; j += 1u) {
          sums[i * REG_O + j] = subgroupMatrixMultiplyAccumulate(left, right[j], sums[i * REG_O + j]);
          sums[i * REG_O + j] = subgroupMatrixMultiplyAccumulate(rest, right[j], sums[i * REG_O + j]);
        }
        if (!KV_F16) {
          for (var j = 0u; j < REG_O; j += 1u) {
            let second = subgroupMatrixLoad<Right, col_major>(&tile, BEHIND + REST_V + (alongColumns + j * DIM_N) * STRIDE + step, STRIDE);
            sums[i * REG_O + j] = subgroupMatrixMultiplyAccumulate(left, second, sums[i * REG_O + j]);
          }
        }
      }
    }
  }
  if (workgroupUniformLoad(&extremes[0]) > 0u) {
    for (var at = lane; at < BLOCK * VECS; at += THREADS) {
      let row = firstQuery + at / VECS;
      let vec = firstVec + at % VECS;
      if (row >= sequence.y || vec >= HEAD_VECS) { continue; }
      let rowQ = ((sequence.x + row) * params.numHeads + h) * HEAD_VECS;
      let seen = select(sequence.z, past + row + 1u, causal);
      o_THD[rowQ + vec] = exactly(keys, h, rowQ, vec, firstVisible(seen), seen);
    }
    return;
  }
  for (var step = 1u; step < SHARE; step *= 2u) { sum += subgroupShuffleXor(sum, step); }
  if (part == 0u) {
    factors[own] = sum;
    powers[own] = bitcast<u32>(held - WEIGHT_BITS);
  }
  for (var i = 0u; i < REG_M; i += 1u) {
    workgroupBarrier();
    for (var j = 0u; j < REG_M * REG_O; j += 1u) {
      if (j / REG_O == i) {
        subgroupMatrixStore<row_major>(&tile, subgroup * DIM_M * STRIP_O + j % REG_O * DIM_N / 4u, sums[j], STRIP_O);
      }
    }
    workgroupBarrier();
    for (var at = lane; at < SUBGROUPS_M * SUBGROUPS_N * DIM_M * OWN_VECS; at += THREADS) {
      let strip = at / OWN_VECS;
      let row = (strip / DIM_M / SUBGROUPS_N * REG_M + i) * DIM_M + strip % DIM_M;
      let vec = firstVec + strip / DIM_M % SUBGROUPS_N * OWN_VECS + at % OWN_VECS;
      if (firstQuery + row >= sequence.y || vec >= HEAD_VECS) { continue; }
      let rowO = ((sequence.x + firstQuery + row) * params.numHeads + h) * HEAD_VECS;
      let sumOfValues = bitcast<vec4<f32>>(tile[strip * STRIP_O + at % OWN_VECS]);
      o_THD[rowO + vec] = timesPowers(sumOfValues / factors[row], vec4<i32>(bitcast<i32>(powers[row])));
    }
  }
}
