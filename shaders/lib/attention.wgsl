// Where a key lies, what a query sees of it, and what becomes of its score.

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

// Four values of k or v.
fn four(w : Kv) -> vec4<f32> {
  if (KV_F16) { return vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y)); }
  return bitcast<vec4<f32>>(vec4<u32>(w.x, w.y, w[LAST - 1u], w[LAST]));
}

// The first key that the window leaves of `numKeys`.
fn firstVisible(numKeys : u32) -> u32 {
  return select(0u, numKeys - min(numKeys, params.window), params.window > 0u);
}

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

// A sink's part of the denominator, with the highest score at least the sink: 1 where it is the highest, 0 for -Inf, NaN
// for NaN and Inf, as float64 has it. An adapter's exp need not keep NaN.
fn sinkShare(sink : f32, highest : f32) -> f32 {
  let below = sink - highest;
  return select(select(exp(below), 1.0, sink == highest), below, isNaN(below));
}

// The sum over 8 lanes, in all of them.
fn sum8(own : f32) -> f32 {
  var sum = own + subgroupShuffleXor(own, 1u);
  sum += subgroupShuffleXor(sum, 2u);
  return sum + subgroupShuffleXor(sum, 4u);
}

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
