// The K experts of highest score per token, ties to the lower id; scores over all E experts.
// Grid    a thread owns one token: for few experts and many tokens.
// Memory  K + 2 passes over the token's logits; no workgroup storage, so no barrier.
// Order   experts ascending in every pass: the same bits on every run.
// Edges   any E and K <= E. Pass j looks only at what comes after pass j-1's choice in (logit down, id up) order.

const WG : u32 = 64u;           // spec: tokens per workgroup
const SIGMOID : bool = false;   // spec: score = sigmoid(logit) instead of softmax over all experts

struct Params { numTokens : u32, numExperts : u32, topK : u32, renormalize : u32 }

@group(0) @binding(0) var<storage, read> logits_TE : array<f32>;
@group(0) @binding(1) var<storage, read_write> ids_TK : array<u32>;
@group(0) @binding(2) var<storage, read_write> scores_TK : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

// A NaN logit is chosen first: its score is NaN, which no later check lets pass.
fn isNan(v : f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid : vec3<u32>) {
  let t = gid.x;
  if (t >= params.numTokens) { return; }
  let first = t * params.numExperts;
  var highest = logits_TE[first];
  for (var e = 1u; e < params.numExperts; e += 1u) { highest = max(highest, logits_TE[first + e]); }
  var denominator = 0.0;
  if (!SIGMOID) {
    for (var e = 0u; e < params.numExperts; e += 1u) { denominator += exp(logits_TE[first + e] - highest); }
  }
  var previous = 0.0;
  var previousId = 0u;
  var selected = 0.0;
  for (var k = 0u; k < params.topK; k += 1u) {
    var best = 0.0;
    var bestId = 0xffffffffu;
    for (var e = 0u; e < params.numExperts; e += 1u) {
      let v = logits_TE[first + e];
      let after = k == 0u || v < previous || (v == previous && e > previousId);
      if (after && (bestId == 0xffffffffu || v > best || (isNan(v) && !isNan(best)))) {
        best = v;
        bestId = e;
      }
    }
    var score = 0.0;
    if (SIGMOID) { score = 1.0 / (1.0 + exp(-best)); } else { score = exp(best - highest) / denominator; }
    ids_TK[t * params.topK + k] = bestId;
    scores_TK[t * params.topK + k] = score;
    selected += score;
    previous = best;
    previousId = bestId;
  }
  if (params.renormalize == 1u) {
    for (var k = 0u; k < params.topK; k += 1u) { scores_TK[t * params.topK + k] /= selected; }
  }
}
