// The K experts of highest logit per token, ties to the lower id, with their softmax or sigmoid scores.
// Grid    a thread per token.
// Memory  K passes over the token's logits: nothing is kept but the expert that was found last.
// Order   experts ascending: the same bits on every run. Logits are compared as integers, where both zeros are equal
//         and no small number is flushed.
// Edges   any E and K <= E. A logit of -Infinity masks its expert.

const WG : u32 = 64u;
const SIGMOID : bool = false;

struct Params { numTokens : u32, numExperts : u32, topK : u32, renormalize : u32, scale : f32 }

@group(0) @binding(0) var<storage, read> logits_TE : array<f32>;
@group(0) @binding(1) var<storage, read_write> ids_TK : array<u32>;
@group(0) @binding(2) var<storage, read_write> scores_TK : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

// Grows with the number.
fn keyOf(v : f32) -> i32 {
  let bits = bitcast<u32>(v);
  return select(i32(bits), i32(0x80000000u - bits), bits >= 0x80000000u);
}

fn scoreOf(logit : f32, highest : f32, denominator : f32) -> f32 {
  if (SIGMOID) { return 1.0 / (1.0 + exp(-logit)); }
  return exp(logit - highest) / denominator;
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id : vec3<u32>) {
  let t = id.x;
  if (t >= params.numTokens) { return; }
  let first = t * params.numExperts;
  var last = 0u;
  for (var k = 0u; k < params.topK; k += 1u) {
    let lastKey = keyOf(logits_TE[first + last]);
    var found = params.numExperts;
    var best = 0;
    for (var e = 0u; e < params.numExperts; e += 1u) {
      let key = keyOf(logits_TE[first + e]);
      let isLeft = k == 0u || key < lastKey || (key == lastKey && e > last);
      if (isLeft && (found == params.numExperts || key > best)) {
        found = e;
        best = key;
      }
    }
    ids_TK[t * params.topK + k] = found;
    last = found;
  }
  let highest = logits_TE[first + ids_TK[t * params.topK]];
  var denominator = 0.0;
  for (var e = 0u; e < params.numExperts; e += 1u) { denominator += exp(logits_TE[first + e] - highest); }
  var selected = 0.0;
  for (var k = 0u; k < params.topK; k += 1u) {
    let score = scoreOf(logits_TE[first + ids_TK[t * params.topK + k]], highest, denominator);
    scores_TK[t * params.topK + k] = score;
    selected += score;
  }
  for (var k = 0u; k < params.topK; k += 1u) {
    let at = t * params.topK + k;
    if (params.renormalize == 1u) { scores_TK[at] /= selected; }
    scores_TK[at] *= params.scale;
  }
}
