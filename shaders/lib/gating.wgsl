// How experts are ranked: by the bits of f32, then by what rounding left, then by logits.

// Keys grow with the number; both zeros have key 0.
fn keyOf(v : f32) -> i32 {
  let bits = bitcast<u32>(v);
  let key = select(i32(bits), i32(0x80000000u - bits), bits >= 0x80000000u);
  return select(key, FIRST, (bits & 0x7fffffffu) > 0x7f800000u);
}

// The number of a key; NaN for FIRST.
fn numberOf(key : i32) -> f32 {
  return bitcast<f32>(select(u32(key), 0x80000000u - u32(key), key < 0));
}

// What a softmax needs of the whole row: its highest logit and the sum of exponentials.
struct Row { highest : f32, denominator : f32 }

// exp of NaN may be Infinity.
fn scoreOf(logit : f32, row : Row) -> f32 {
  if (SIGMOID) { return select(1.0 / (1.0 + exp(-logit)), logit, isNaN(logit)); }
  return exp(logit - row.highest) / row.denominator;
}

// What an expert or a group is ranked by: its value in f32; what rounding left of it; a logit, or a sum of two as
// a logarithm, which tells apart what saturates or underflows.
struct Worth { key : i32, rest : f32, logit : f32 }

// Whether a is ranked before b, which may be equal.
fn beats(a : Worth, b : Worth) -> bool {
  if (a.key != b.key) { return a.key > b.key; }
  let left = vec2<i32>(keyOf(a.rest), keyOf(b.rest));
  if (left.x != left.y) { return left.x > left.y; }
  return keyOf(a.logit) > keyOf(b.logit);
}

// The number itself, at a place where no compiler may reorder sums across: it cannot know that nothing is flipped.
fn held(v : f32) -> f32 { return bitcast<f32>(bitcast<u32>(v) ^ (params.renormalize >> 1u)); }

// What rounding took from a + b.
fn lost(a : f32, b : f32) -> f32 {
  let total = held(a + b);
  let part = held(total - a);
  return held(a - held(total - part)) + held(b - part);
}

// Small sums of two scores share a key, so that their logarithms decide.
fn groupKey(key : i32) -> i32 { return select(key, 0, !BIASED && TOP2 && key > 0 && key < LEAST_SUM); }
