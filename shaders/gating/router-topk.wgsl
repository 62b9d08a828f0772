// Router GEMM fused with top-k: logits[t,e] = gate[e] . x[t], then the K experts of highest score per token.
// Grid    a workgroup owns one token, spread over y beyond 65,535; a lane computes experts lane, lane + WG, ...
// Memory  the token's row and its logits stay in workgroup storage; logits never reach memory.
// Order   k ascending per logit, trees of fixed shape: the same bits on every run.
// Edges   E <= MAX_EXPERTS, K <= E, any D (the row passes in pieces of PIECE).

const WG : u32 = 64u;               // spec: lanes per token, a power of two
const MAX_EXPERTS : u32 = 256u;     // spec: room for a token's logits
const PIECE : u32 = 256u;           // spec: columns of x held at once
const SIGMOID : bool = false;       // spec: score = sigmoid(logit) instead of softmax over all experts
const W_F16 : bool = false;         // spec: the gate holds packed f16 instead of f32

struct Params { numTokens : u32, modelDim : u32, numExperts : u32, topK : u32, renormalize : u32 }

@group(0) @binding(0) var<storage, read> x_TD : array<f32>;
@group(0) @binding(1) var<storage, read> gate_ED : array<u32>;   // f32 bits, or two f16 per word
@group(0) @binding(2) var<storage, read_write> ids_TK : array<u32>;
@group(0) @binding(3) var<storage, read_write> scores_TK : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

const NONE : u32 = 0xffffffffu;

var<workgroup> logits : array<f32, MAX_EXPERTS>;
var<workgroup> bestOfLane : array<f32, WG>;
var<workgroup> idOfLane : array<u32, WG>;
var<workgroup> sumOfLane : array<f32, WG>;
var<workgroup> piece : array<f32, PIECE>;

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

fn weight(index : u32) -> f32 {
  if (W_F16) { return unpack2x16float(gate_ED[index >> 1u])[index & 1u]; }
  return bitcast<f32>(gate_ED[index]);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let t = group.y * groups.x + group.x;
  if (t >= params.numTokens) { return; }
  for (var e = lane; e < params.numExperts; e += WG) { logits[e] = 0.0; }
  for (var first = 0u; first < params.modelDim; first += PIECE) {
    let width = min(PIECE, params.modelDim - first);
    workgroupBarrier();
    for (var d = lane; d < width; d += WG) { piece[d] = x_TD[t * params.modelDim + first + d]; }
    workgroupBarrier();
    for (var e = lane; e < params.numExperts; e += WG) {
      var total = logits[e];
      let row = e * params.modelDim + first;
      for (var d = 0u; d < width; d += 1u) { total += piece[d] * weight(row + d); }
      logits[e] = total;
    }
  }
  workgroupBarrier();
  selectExperts(t, lane);
}
