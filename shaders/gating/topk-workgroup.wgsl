// The K experts of highest score per token, ties to the lower id, in every gating mode.
// Grid    a workgroup owns one token, spread over y beyond 65,535: many experts or few tokens.
// Memory  the token's logits are read once, side by side, into workgroup storage; a tree reduction per choice, after
//         which only the lane that lost its candidate looks for another among its own experts.
// Order   trees of fixed shape: the same bits on every run. Compared are the bits of f32 as integers, where NaN is
//         first (its score is NaN, which no later check lets pass), zeros are equal and no number is flushed.
//         Values that are equal in f32 are told apart by what rounding left of them, then by logits.
// Edges   E <= MAX_EXPERTS, at most 32 groups, any K. A logit of -Infinity masks its expert.

const WG : u32 = 64u;               // spec: lanes per token, a power of two
const MAX_EXPERTS : u32 = 256u;     // spec: room for a token's logits
const SIGMOID : bool = false;       // spec: score = sigmoid(logit) instead of softmax over all experts
const BIASED : bool = false;        // spec: experts are chosen by score + bias
const GROUPED : bool = false;       // spec: only experts of the best groups may be chosen
const TOP2 : bool = true;           // spec: a group's score is the sum of its two best, instead of its best

struct Params {
  numTokens : u32, numExperts : u32, topK : u32, renormalize : u32,
  numGroups : u32, groupsKept : u32, scale : f32,
}

@group(0) @binding(0) var<storage, read> logits_TE : array<f32>;
@group(0) @binding(1) var<storage, read> bias_E : array<f32>;   // bound to the logits when absent
@group(0) @binding(2) var<storage, read_write> ids_TK : array<u32>;
@group(0) @binding(3) var<storage, read_write> scores_TK : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

const EMPTY : i32 = -2147483648;    // below every key
const MASKED : i32 = -2139095040;   // key of -Infinity
const FIRST : i32 = 2147483647;     // key of NaN
const LEAST_SUM : i32 = 0x0d800000;  // key of 2^-100: smaller scores of groups are compared as logarithms
const LEAST_SCORE : f32 = 0x1p-124;  // smaller scores may be flushed
const NONE : u32 = 0xffffffffu;
const MOST_GROUPS : u32 = 32u;

var<workgroup> logits : array<f32, MAX_EXPERTS>;
var<workgroup> keys : array<i32, MAX_EXPERTS>;
var<workgroup> rests : array<f32, MAX_EXPERTS>;
var<workgroup> keyOfLane : array<i32, WG>;
var<workgroup> idOfLane : array<u32, WG>;
var<workgroup> sumOfLane : array<f32, WG>;
var<workgroup> worthOfGroup : array<Worth, MOST_GROUPS>;

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

// Told by its bits: a compiler may take any float for a number.
fn isNaN(v : f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

// exp of NaN may be Infinity.
fn scoreOf(logit : f32, row : Row) -> f32 {
  if (SIGMOID) { return select(1.0 / (1.0 + exp(-logit)), logit, isNaN(logit)); }
  return exp(logit - row.highest) / row.denominator;
}

// The key of an expert's score, with its bias; a masked one stays masked.
fn scoreKey(e : u32, row : Row) -> i32 {
  var value = scoreOf(logits[e], row);
  if (BIASED) { value += bias_E[e]; }
  return select(keyOf(value), MASKED, keyOf(logits[e]) == MASKED);
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

// What the f32 value of a key lacks of the expert's own. A sigmoid near 1 is what it lacks of 1.
fn restOf(e : u32, key : i32, row : Row) -> f32 {
  if (key <= MASKED) { return 0.0; }
  var whole = scoreOf(logits[e], row);
  var lacking = 0.0;
  if (SIGMOID && logits[e] > 0.0) {
    whole = 1.0;
    lacking = exp(-logits[e]) / (1.0 + exp(-logits[e]));
  }
  var added = 0.0;
  if (BIASED) { added = bias_E[e]; }
  return held(held(held(whole + added) - numberOf(key)) + lost(whole, added)) - lacking;
}

// Whether an expert comes before another of the same key.
fn precedes(e : u32, other : u32) -> bool {
  if (!BIASED || e == NONE || other == NONE) { return e < other; }
  let a = Worth(0, rests[e], logits[e]);
  let b = Worth(0, rests[other], logits[other]);
  return beats(a, b) || (e < other && !beats(b, a));
}

// The highest key of all lanes and its expert, of equal ones the first; the same in every lane.
fn best(lane : u32, key : i32, id : u32) -> vec2<u32> {
  workgroupBarrier();
  keyOfLane[lane] = key;
  idOfLane[lane] = id;
  workgroupBarrier();
  for (var step = WG / 2u; step > 0u; step /= 2u) {
    if (lane < step) {
      let other = keyOfLane[lane + step];
      let own = keyOfLane[lane];
      if (other > own || (other == own && precedes(idOfLane[lane + step], idOfLane[lane]))) {
        keyOfLane[lane] = other;
        idOfLane[lane] = idOfLane[lane + step];
      }
    }
    workgroupBarrier();
  }
  return vec2<u32>(bitcast<u32>(keyOfLane[0]), idOfLane[0]);
}

// The sum over all lanes, in a tree; the same in every lane.
fn sumOverLanes(lane : u32, part : f32) -> f32 {
  sumOfLane[lane] = part;
  workgroupBarrier();
  for (var step = WG / 2u; step > 0u; step /= 2u) {
    if (lane < step) { sumOfLane[lane] += sumOfLane[lane + step]; }
    workgroupBarrier();
  }
  return sumOfLane[0];
}

// What a softmax needs of all logits; every lane takes part.
fn wholeRow(lane : u32) -> Row {
  var highest = EMPTY;
  for (var e = lane; e < params.numExperts; e += WG) { highest = max(highest, keyOf(logits[e])); }
  let number = numberOf(bitcast<i32>(best(lane, highest, NONE).x));
  var part = 0.0;
  for (var e = lane; e < params.numExperts; e += WG) { part += exp(logits[e] - number); }
  return Row(number, sumOverLanes(lane, part));
}

// Small sums of two scores share a key, so that their logarithms decide.
fn groupKey(key : i32) -> i32 { return select(key, 0, !BIASED && TOP2 && key > 0 && key < LEAST_SUM); }

// What a group is ranked by.
fn groupWorth(g : u32, row : Row) -> Worth {
  let size = params.numExperts / params.numGroups;
  var top = Worth(EMPTY, 0.0, 0.0);
  var second = top;
  for (var e = g * size; e < (g + 1u) * size; e += 1u) {
    var own = Worth(keys[e], 0.0, logits[e]);
    if (TOP2 && !BIASED) { own.key = scoreKey(e, row); }
    if (BIASED) { own.rest = rests[e]; } else if (TOP2) { own.rest = restOf(e, own.key, row); }
    if (beats(own, top)) {
      second = top;
      top = own;
    } else if (beats(own, second)) {
      second = own;
    }
  }
  if (!TOP2 || second.key <= MASKED) { return Worth(groupKey(top.key), top.rest, top.logit); }
  let a = numberOf(top.key);
  let b = numberOf(second.key);
  let key = groupKey(keyOf(a + b));
  let rest = select(top.rest + second.rest + lost(a, b), 0.0, key == 0);
  let high = select(second.logit, top.logit, top.logit > second.logit);
  let low = select(top.logit, second.logit, top.logit > second.logit);
  let more = log(1.0 + exp(low - high));
  return Worth(key, rest, select(high + more, low - more, SIGMOID && low > 0.0));
}

// A lane scores a group; those that are not among the best lose all their experts.
fn dropGroups(lane : u32, row : Row) {
  let size = params.numExperts / params.numGroups;
  for (var g = lane; g < params.numGroups; g += WG) { worthOfGroup[g] = groupWorth(g, row); }
  workgroupBarrier();
  for (var g = lane; g < params.numGroups; g += WG) {
    let own = worthOfGroup[g];
    var before = 0u;
    for (var other = 0u; other < params.numGroups; other += 1u) {
      let rival = worthOfGroup[other];
      before += select(0u, 1u, beats(rival, own) || (other < g && !beats(own, rival)));
    }
    if (before >= params.groupsKept) {
      for (var e = g * size; e < (g + 1u) * size; e += 1u) { keys[e] = EMPTY; }
    }
  }
  workgroupBarrier();
}

// A lane's candidate among its own experts.
fn candidate(lane : u32) -> u32 {
  var found = NONE;
  var highest = EMPTY;
  for (var e = lane; e < params.numExperts; e += WG) {
    let key = keys[e];
    if (key > highest || (BIASED && found != NONE && key == highest && precedes(e, found))) { highest = key; found = e; }
  }
  return found;
}

// The key of a lane's candidate, if it has one.
fn keyAt(e : u32) -> i32 {
  if (e == NONE) { return EMPTY; }
  return keys[e];
}

// Scores below what f32 keeps, whose scaled or renormalised values it may keep: from differences of logits.
fn restoreScores(t : u32, row : Row, selected : f32) {
  let first = t * params.topK;
  var base = row.highest;
  var total = row.denominator;
  if (params.renormalize == 1u) {
    base = logits[ids_TK[first]];
    for (var k = 1u; k < params.topK; k += 1u) {
      let logit = logits[ids_TK[first + k]];
      base = select(base, logit, logit > base);
    }
    if (SIGMOID) { base = select(base, 0.0, base > 0.0); }
    total = 0.0;
    for (var k = 0u; k < params.topK; k += 1u) {
      let logit = logits[ids_TK[first + k]];
      let share = exp(select(logit, 0.0, logit > base) - base);
      total += select(share, select(share / (1.0 + exp(logit)), scoreOf(logit, row), logit > 0.0), SIGMOID);
    }
  }
  let all = params.renormalize == 1u && selected < 0x1p-60;
  for (var k = 0u; k < params.topK; k += 1u) {
    let logit = logits[ids_TK[first + k]];
    if (all || scoreOf(logit, row) < LEAST_SCORE) {
      let root = exp(0.25 * (logit - base));
      scores_TK[first + k] = ((((params.scale * root) * root) * root) * root) / total;
    }
  }
}

// Selection by the whole workgroup from logits in workgroup storage; every lane takes part.
fn selectExperts(t : u32, lane : u32) {
  var row = Row(0.0, 1.0);
  if (!SIGMOID) { row = wholeRow(lane); }
  for (var e = lane; e < params.numExperts; e += WG) {
    if (BIASED) {
      keys[e] = scoreKey(e, row);
      rests[e] = restOf(e, keys[e], row);
    } else {
      keys[e] = keyOf(logits[e]);
    }
  }
  workgroupBarrier();
  if (GROUPED) { dropGroups(lane, row); }
  var own = candidate(lane);
  var selected = 0.0;
  var isTiny = false;
  for (var k = 0u; k < params.topK; k += 1u) {
    let id = min(best(lane, keyAt(own), own).y, params.numExperts - 1u);
    if (id == own) {
      keys[own] = EMPTY;
      own = candidate(lane);
    }
    let score = scoreOf(logits[id], row);
    selected += score;
    isTiny = isTiny || score < LEAST_SCORE;
    if (lane == 0u) {
      ids_TK[t * params.topK + k] = id;
      scores_TK[t * params.topK + k] = score;
    }
  }
  if (lane == 0u) {
    for (var k = 0u; k < params.topK; k += 1u) {
      var score = scores_TK[t * params.topK + k];
      if (params.renormalize == 1u) { score /= selected; }
      scores_TK[t * params.topK + k] = score * params.scale;
    }
    if (isTiny && (params.renormalize == 1u || abs(params.scale) > 1.0)) { restoreScores(t, row, selected); }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let t = group.y * groups.x + group.x;
  if (t >= params.numTokens) { return; }
  for (var e = lane; e < params.numExperts; e += WG) { logits[e] = logits_TE[t * params.numExperts + e]; }
  selectExperts(t, lane);
}
