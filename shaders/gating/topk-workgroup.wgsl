// The K experts of highest score per token, ties to the lower id; scores over all E experts.
// Grid    a workgroup owns one token, spread over y beyond 65,535: for many experts or few tokens.
// Memory  the token's logits are read once into workgroup storage; a tree reduction per choice.
// Order   trees of fixed shape: the same bits on every run.
// Edges   E <= MAX_EXPERTS, K <= E. Choice j looks only at what comes after choice j-1 in (logit down, id up) order.

const WG : u32 = 64u;               // spec: lanes per token, a power of two
const MAX_EXPERTS : u32 = 256u;     // spec: room for a token's logits
const SIGMOID : bool = false;       // spec: score = sigmoid(logit) instead of softmax over all experts

struct Params { numTokens : u32, numExperts : u32, topK : u32, renormalize : u32 }

@group(0) @binding(0) var<storage, read> logits_TE : array<f32>;
@group(0) @binding(1) var<storage, read_write> ids_TK : array<u32>;
@group(0) @binding(2) var<storage, read_write> scores_TK : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

const NONE : u32 = 0xffffffffu;

var<workgroup> logits : array<f32, MAX_EXPERTS>;
var<workgroup> bestOfLane : array<f32, WG>;
var<workgroup> idOfLane : array<u32, WG>;
var<workgroup> sumOfLane : array<f32, WG>;

// A NaN logit is chosen first: its score is NaN, which no later check lets pass.
fn isNan(v : f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

// The better of two candidates: NaN, then the higher logit, then the lower id; NONE loses to all.
fn better(v : f32, id : u32, best : f32, bestId : u32) -> bool {
  if (id == NONE || bestId == NONE) { return id != NONE; }
  if (isNan(v) || isNan(best)) { return isNan(v) && !isNan(best); }
  return v > best || (v == best && id < bestId);
}

// Selection by the whole workgroup from logits in workgroup storage; every lane takes part.
fn selectExperts(t : u32, lane : u32) {
  var own = 0.0;
  var ownId = NONE;
  for (var e = lane; e < params.numExperts; e += WG) {
    if (better(logits[e], e, own, ownId)) { own = logits[e]; ownId = e; }
  }
  bestOfLane[lane] = own;
  idOfLane[lane] = ownId;
  reduceBest(lane);
  let highest = bestOfLane[0];
  workgroupBarrier();
  var part = 0.0;
  if (!SIGMOID) {
    for (var e = lane; e < params.numExperts; e += WG) { part += exp(logits[e] - highest); }
  }
  sumOfLane[lane] = part;
  workgroupBarrier();
  for (var step = WG / 2u; step > 0u; step /= 2u) {
    if (lane < step) { sumOfLane[lane] += sumOfLane[lane + step]; }
    workgroupBarrier();
  }
  let denominator = sumOfLane[0];
  var previous = 0.0;
  var previousId = NONE;
  var selected = 0.0;
  for (var k = 0u; k < params.topK; k += 1u) {
    own = 0.0;
    ownId = NONE;
    for (var e = lane; e < params.numExperts; e += WG) {
      let v = logits[e];
      let after = k == 0u || v < previous || (v == previous && e > previousId);
      if (after && better(v, e, own, ownId)) { own = v; ownId = e; }
    }
    bestOfLane[lane] = own;
    idOfLane[lane] = ownId;
    reduceBest(lane);
    previous = bestOfLane[0];
    previousId = idOfLane[0];
    workgroupBarrier();
    var score = 0.0;
    if (SIGMOID) { score = 1.0 / (1.0 + exp(-previous)); } else { score = exp(previous - highest) / denominator; }
    selected += score;
    if (lane == 0u) {
      ids_TK[t * params.topK + k] = previousId;
      scores_TK[t * params.topK + k] = score;
    }
  }
  if (params.renormalize == 1u && lane == 0u) {
    for (var k = 0u; k < params.topK; k += 1u) { scores_TK[t * params.topK + k] /= selected; }
  }
}

// Leaves the best candidate of all lanes in slot 0.
fn reduceBest(lane : u32) {
  workgroupBarrier();
  for (var step = WG / 2u; step > 0u; step /= 2u) {
    if (lane < step && better(bestOfLane[lane + step], idOfLane[lane + step], bestOfLane[lane], idOfLane[lane])) {
      bestOfLane[lane] = bestOfLane[lane + step];
      idOfLane[lane] = idOfLane[lane + step];
    }
    workgroupBarrier();
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let t = group.y * groups.x + group.x;
  if (t >= params.numTokens) { return; }
  for (var e = lane; e < params.numExperts; e += WG) { logits[e] = logits_TE[t * params.numExperts + e]; }
  workgroupBarrier();
  selectExperts(t, lane);
}
