// The K experts of highest score per token, ties to the lower id, in every gating mode.
// Grid    a thread owns one token: many tokens, and few experts where threads have no cache of their own.
// Memory  each logit is loaded once for the choice and once for a sum over all; the K best stay in registers,
//         sorted by insertion. No workgroup storage, so no barrier.
// Order   experts ascending: the same bits on every run. Compared are the bits of f32 as integers, where NaN is
//         first (its score is NaN, which no later check lets pass), zeros are equal and no number is flushed.
//         Values that are equal in f32 are told apart by what rounding left of them, then by logits.
// Edges   K and the groups kept <= 4 SLOTS, at most 32 groups; any E. A logit of -Infinity masks its expert.

const WG : u32 = 64u;           // spec: tokens per workgroup
const SLOTS : u32 = 2u;         // spec: registers of four for the best: 1, 2, 3 or 4
const SIGMOID : bool = false;   // spec: score = sigmoid(logit) instead of softmax over all experts
const BIASED : bool = false;    // spec: experts are chosen by score + bias
const GROUPED : bool = false;   // spec: only experts of the best groups may be chosen
const TOP2 : bool = true;       // spec: a group's score is the sum of its two best, instead of its best

struct Params {
  numTokens : u32, numExperts : u32, topK : u32, renormalize : u32,
  numGroups : u32, groupsKept : u32, scale : f32,
}

@group(0) @binding(0) var<storage, read> logits_TE : array<f32>;
@group(0) @binding(1) var<storage, read> bias_E : array<f32>;   // bound to the logits when absent
@group(0) @binding(2) var<storage, read_write> ids_TK : array<u32>;
@group(0) @binding(3) var<storage, read_write> scores_TK : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

const MOST_GROUPS : u32 = 32u;
const EMPTY : i32 = -2147483648;    // below every key
const MASKED : i32 = -2139095040;   // key of -Infinity
const FIRST : i32 = 2147483647;     // key of NaN
const LEAST_SUM : i32 = 0x0d800000;  // key of 2^-100: smaller scores of groups are compared as logarithms
const LEAST_SCORE : f32 = 0x1p-124;  // smaller scores may be flushed
const BY_SCORE : bool = BIASED || (GROUPED && TOP2);   // scores are needed before the choice

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

// The best so far in descending order: keys and their ids.
struct Best {
  key0 : vec4<i32>, key1 : vec4<i32>, key2 : vec4<i32>, key3 : vec4<i32>,
  id0 : vec4<u32>, id1 : vec4<u32>, id2 : vec4<u32>, id3 : vec4<u32>,
}

fn noneYet() -> Best {
  let keys = vec4<i32>(EMPTY);
  let ids = vec4<u32>();
  return Best(keys, keys, keys, keys, ids, ids, ids, ids);
}

// Each register takes its neighbour's content, the new one, or keeps its own.
fn insert(best : ptr<function, Best>, key : i32, id : u32) {
  let old = *best;
  let over0 = vec4<i32>(key) > old.key0;
  let above0 = vec4<bool>(false, over0.xyz);
  (*best).key0 = select(select(old.key0, vec4<i32>(key), over0), vec4<i32>(key, old.key0.xyz), above0);
  (*best).id0 = select(select(old.id0, vec4<u32>(id), over0), vec4<u32>(id, old.id0.xyz), above0);
  if (SLOTS == 1u) { return; }
  let over1 = vec4<i32>(key) > old.key1;
  let above1 = vec4<bool>(over0.w, over1.xyz);
  (*best).key1 = select(select(old.key1, vec4<i32>(key), over1), vec4<i32>(old.key0.w, old.key1.xyz), above1);
  (*best).id1 = select(select(old.id1, vec4<u32>(id), over1), vec4<u32>(old.id0.w, old.id1.xyz), above1);
  if (SLOTS == 2u) { return; }
  let over2 = vec4<i32>(key) > old.key2;
  let above2 = vec4<bool>(over1.w, over2.xyz);
  (*best).key2 = select(select(old.key2, vec4<i32>(key), over2), vec4<i32>(old.key1.w, old.key2.xyz), above2);
  (*best).id2 = select(select(old.id2, vec4<u32>(id), over2), vec4<u32>(old.id1.w, old.id2.xyz), above2);
  if (SLOTS == 3u) { return; }
  let over3 = vec4<i32>(key) > old.key3;
  let above3 = vec4<bool>(over2.w, over3.xyz);
  (*best).key3 = select(select(old.key3, vec4<i32>(key), over3), vec4<i32>(old.key2.w, old.key3.xyz), above3);
  (*best).id3 = select(select(old.id3, vec4<u32>(id), over3), vec4<u32>(old.id2.w, old.id3.xyz), above3);
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

fn denominator(first : u32, highest : f32) -> f32 {
  var total = 0.0;
  for (var e = 0u; e < params.numExperts; e += 1u) { total += exp(logits_TE[first + e] - highest); }
  return total;
}

fn rowAt(first : u32) -> Row {
  var highest = EMPTY;
  for (var e = 0u; e < params.numExperts; e += 1u) { highest = max(highest, keyOf(logits_TE[first + e])); }
  let number = numberOf(highest);
  return Row(number, denominator(first, number));
}

fn scoreKeyAt(first : u32, e : u32, row : Row) -> i32 {
  let logit = logits_TE[first + e];
  var value = scoreOf(logit, row);
  if (BIASED) { value += bias_E[e]; }
  return select(keyOf(value), MASKED, keyOf(logit) == MASKED);
}

fn choiceKey(first : u32, e : u32, row : Row) -> i32 {
  if (BIASED) { return scoreKeyAt(first, e, row); }
  return keyOf(logits_TE[first + e]);
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

// A sigmoid near 1 is what it lacks of 1.
fn worthOf(first : u32, e : u32, row : Row) -> Worth {
  let logit = logits_TE[first + e];
  let key = scoreKeyAt(first, e, row);
  if (key <= MASKED) { return Worth(key, 0.0, logit); }
  var whole = scoreOf(logit, row);
  var lacking = 0.0;
  if (SIGMOID && logit > 0.0) {
    whole = 1.0;
    lacking = exp(-logit) / (1.0 + exp(-logit));
  }
  var added = 0.0;
  if (BIASED) { added = bias_E[e]; }
  let rest = held(held(held(whole + added) - numberOf(key)) + lost(whole, added)) - lacking;
  return Worth(key, rest, logit);
}

// Small sums of two scores share a key, so that their logarithms decide.
fn groupKey(key : i32) -> i32 { return select(key, 0, !BIASED && TOP2 && key > 0 && key < LEAST_SUM); }

fn groupWorthAt(first : u32, g : u32, row : Row) -> Worth {
  let size = params.numExperts / params.numGroups;
  var top = Worth(EMPTY, 0.0, 0.0);
  var second = top;
  for (var e = g * size; e < (g + 1u) * size; e += 1u) {
    let own = worthOf(first, e, row);
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

// Whether `own` comes after what was found last.
fn isAfter(last : Worth, lastId : u32, own : Worth, id : u32) -> bool {
  return beats(last, own) || (!beats(own, last) && id > lastId);
}

// The groups that stay where f32 leaves a tie: one by one, compared in full.
fn groupsInOrder(first : u32, row : Row) -> u32 {
  var bits = 0u;
  var last = Worth(FIRST, 0.0, 0.0);
  var lastId = 0u;
  for (var k = 0u; k < params.groupsKept; k += 1u) {
    var top = Worth(EMPTY, 0.0, 0.0);
    var found = params.numGroups;
    for (var g = 0u; g < params.numGroups; g += 1u) {
      let own = groupWorthAt(first, g, row);
      if (k > 0u && !isAfter(last, lastId, own, g)) { continue; }
      if (found == params.numGroups || beats(own, top)) {
        top = own;
        found = g;
      }
    }
    bits |= 1u << min(found, MOST_GROUPS - 1u);
    last = top;
    lastId = found;
  }
  return bits;
}

// The experts where f32 leaves a tie: one by one, compared in full.
fn expertsInOrder(first : u32, row : Row, kept : u32) -> Best {
  let size = params.numExperts / params.numGroups;
  var best = noneYet();
  var last = Worth(FIRST, 0.0, 0.0);
  var lastId = 0u;
  for (var k = 0u; k < params.topK; k += 1u) {
    var top = Worth(EMPTY, 0.0, 0.0);
    var found = params.numExperts;
    for (var e = 0u; e < params.numExperts; e += 1u) {
      if (GROUPED && ((kept >> (e / size)) & 1u) == 0u) { continue; }
      let own = worthOf(first, e, row);
      if (k > 0u && !isAfter(last, lastId, own, e)) { continue; }
      if (found == params.numExperts || beats(own, top)) {
        top = own;
        found = e;
      }
    }
    last = top;
    lastId = min(found, params.numExperts - 1u);
    let at = vec4<u32>(k) - vec4<u32>(0u, 1u, 2u, 3u);
    best.id0 = select(best.id0, vec4<u32>(lastId), at == vec4<u32>());
    best.id1 = select(best.id1, vec4<u32>(lastId), at == vec4<u32>(4u));
    best.id2 = select(best.id2, vec4<u32>(lastId), at == vec4<u32>(8u));
    best.id3 = select(best.id3, vec4<u32>(lastId), at == vec4<u32>(12u));
  }
  return best;
}

// The key that the next insertion may push out.
fn lastKey(best : ptr<function, Best>) -> i32 {
  if (SLOTS == 1u) { return (*best).key0.w; }
  if (SLOTS == 2u) { return (*best).key1.w; }
  if (SLOTS == 3u) { return (*best).key2.w; }
  return (*best).key3.w;
}

// Whether one of the places from `begin` to `end` holds the key of the place after it; `over` is the best pushed out.
fn isTied(best : Best, over : i32, begin : u32, end : u32) -> bool {
  let next0 = vec4<i32>(best.key0.yzw, select(best.key1.x, over, SLOTS == 1u));
  let next1 = vec4<i32>(best.key1.yzw, select(best.key2.x, over, SLOTS == 2u));
  let next2 = vec4<i32>(best.key2.yzw, select(best.key3.x, over, SLOTS == 3u));
  let next3 = vec4<i32>(best.key3.yzw, over);
  return any(tiedAt(best.key0, next0, 0u, begin, end)) || any(tiedAt(best.key1, next1, 4u, begin, end))
      || any(tiedAt(best.key2, next2, 8u, begin, end)) || any(tiedAt(best.key3, next3, 12u, begin, end));
}

fn tiedAt(keys : vec4<i32>, next : vec4<i32>, place : u32, begin : u32, end : u32) -> vec4<bool> {
  let places = vec4<u32>(place) + vec4<u32>(0u, 1u, 2u, 3u);
  return (keys == next) & (places >= vec4<u32>(begin)) & (places < vec4<u32>(end));
}

// The groups that stay, a bit each.
fn keptGroups(first : u32, row : Row) -> u32 {
  var best = noneYet();
  var over = EMPTY;
  let size = params.numExperts / params.numGroups;
  for (var g = 0u; g < params.numGroups; g += 1u) {
    var highest = EMPTY;
    var second = EMPTY;
    for (var e = g * size; e < (g + 1u) * size; e += 1u) {
      var key = 0;
      if (TOP2) { key = scoreKeyAt(first, e, row); } else { key = choiceKey(first, e, row); }
      second = max(second, min(key, highest));
      highest = max(highest, key);
    }
    if (TOP2 && second > MASKED) { highest = keyOf(numberOf(highest) + numberOf(second)); }
    highest = groupKey(highest);
    if (BY_SCORE) { over = max(over, min(highest, lastKey(&best))); }
    insert(&best, highest, g);
  }
  if (BY_SCORE && isTied(best, over, params.groupsKept - 1u, params.groupsKept)) { return groupsInOrder(first, row); }
  return bitsOf(best.key0, best.id0, 0u) | bitsOf(best.key1, best.id1, 4u)
       | bitsOf(best.key2, best.id2, 8u) | bitsOf(best.key3, best.id3, 12u);
}

fn bitsOf(keys : vec4<i32>, ids : vec4<u32>, place : u32) -> u32 {
  let places = vec4<u32>(place) + vec4<u32>(0u, 1u, 2u, 3u);
  let bits = select(vec4<u32>(), vec4<u32>(1u) << ids, places < vec4<u32>(params.groupsKept));
  return bits.x | bits.y | bits.z | bits.w;
}

// Scores of four choices; 0 for places from K on.
fn scoresOf(first : u32, ids : vec4<u32>, place : u32, row : Row) -> vec4<f32> {
  var scores = vec4<f32>();
  if (place < params.topK) { scores.x = scoreOf(logits_TE[first + ids.x], row); }
  if (place + 1u < params.topK) { scores.y = scoreOf(logits_TE[first + ids.y], row); }
  if (place + 2u < params.topK) { scores.z = scoreOf(logits_TE[first + ids.z], row); }
  if (place + 3u < params.topK) { scores.w = scoreOf(logits_TE[first + ids.w], row); }
  return scores;
}

fn added(total : f32, scores : vec4<f32>) -> f32 { return (((total + scores.x) + scores.y) + scores.z) + scores.w; }

fn storeChoices(t : u32, place : u32, ids : vec4<u32>, scores : vec4<f32>) {
  let at = t * params.topK + place;
  if (place < params.topK) { ids_TK[at] = ids.x; scores_TK[at] = scores.x; }
  if (place + 1u < params.topK) { ids_TK[at + 1u] = ids.y; scores_TK[at + 1u] = scores.y; }
  if (place + 2u < params.topK) { ids_TK[at + 2u] = ids.z; scores_TK[at + 2u] = scores.z; }
  if (place + 3u < params.topK) { ids_TK[at + 3u] = ids.w; scores_TK[at + 3u] = scores.w; }
}

fn tiny(scores : vec4<f32>, place : u32) -> bool {
  let places = vec4<u32>(place) + vec4<u32>(0u, 1u, 2u, 3u);
  return any((scores < vec4<f32>(LEAST_SCORE)) & (places < vec4<u32>(params.topK)));
}

// Scores below what f32 keeps, whose scaled or renormalised values it may keep: from differences of logits.
fn restoreScoresAt(t : u32, first : u32, row : Row) {
  var base = row.highest;
  var total = row.denominator;
  var all = false;
  if (params.renormalize == 1u) {
    base = logits_TE[first + ids_TK[t * params.topK]];
    for (var k = 1u; k < params.topK; k += 1u) {
      let logit = logits_TE[first + ids_TK[t * params.topK + k]];
      base = select(base, logit, logit > base);
    }
    if (SIGMOID) { base = select(base, 0.0, base > 0.0); }
    total = 0.0;
    var selected = 0.0;
    for (var k = 0u; k < params.topK; k += 1u) {
      let logit = logits_TE[first + ids_TK[t * params.topK + k]];
      let score = scoreOf(logit, row);
      selected += score;
      let share = exp(select(logit, 0.0, logit > base) - base);
      total += select(share, select(share / (1.0 + exp(logit)), score, logit > 0.0), SIGMOID);
    }
    all = selected < 0x1p-60;
  }
  for (var k = 0u; k < params.topK; k += 1u) {
    let logit = logits_TE[first + ids_TK[t * params.topK + k]];
    if (all || scoreOf(logit, row) < LEAST_SCORE) {
      let root = exp(0.25 * (logit - base));
      scores_TK[t * params.topK + k] = ((((params.scale * root) * root) * root) * root) / total;
    }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let t = (group.y * groups.x + group.x) * WG + lane;
  if (t >= params.numTokens) { return; }
  let first = t * params.numExperts;
  var row = Row(0.0, 1.0);
  if (BY_SCORE && !SIGMOID) { row = rowAt(first); }
  var best = noneYet();
  var kept = 0u;
  var over = EMPTY;
  if (GROUPED) { kept = keptGroups(first, row); }
  let size = params.numExperts / params.numGroups;
  for (var e = 0u; e < params.numExperts; e += 1u) {
    var key = choiceKey(first, e, row);
    if (GROUPED) { key = select(EMPTY, key, ((kept >> (e / size)) & 1u) == 1u); }
    if (BIASED) { over = max(over, min(key, lastKey(&best))); }
    insert(&best, key, e);
  }
  if (BIASED && isTied(best, over, 0u, params.topK)) { best = expertsInOrder(first, row, kept); }
  if (!BY_SCORE && !SIGMOID) {
    // Dividing by the sum over the chosen cancels the sum over all, whatever is the highest.
    row.highest = numberOf(best.key0.x);
    if (params.renormalize == 0u) {
      if (GROUPED) { row = rowAt(first); } else { row.denominator = denominator(first, row.highest); }
    }
  }
  var scores0 = scoresOf(first, best.id0, 0u, row);
  var scores1 = vec4<f32>();
  var scores2 = vec4<f32>();
  var scores3 = vec4<f32>();
  if (SLOTS > 1u) { scores1 = scoresOf(first, best.id1, 4u, row); }
  if (SLOTS > 2u) { scores2 = scoresOf(first, best.id2, 8u, row); }
  if (SLOTS > 3u) { scores3 = scoresOf(first, best.id3, 12u, row); }
  let isTiny = tiny(scores0, 0u) || (SLOTS > 1u && tiny(scores1, 4u)) || (SLOTS > 2u && tiny(scores2, 8u))
            || (SLOTS > 3u && tiny(scores3, 12u));
  if (params.renormalize == 1u) {
    let selected = added(added(added(added(0.0, scores0), scores1), scores2), scores3);
    scores0 /= selected;
    scores1 /= selected;
    scores2 /= selected;
    scores3 /= selected;
  }
  storeChoices(t, 0u, best.id0, scores0 * params.scale);
  if (SLOTS > 1u) { storeChoices(t, 4u, best.id1, scores1 * params.scale); }
  if (SLOTS > 2u) { storeChoices(t, 8u, best.id2, scores2 * params.scale); }
  if (SLOTS > 3u) { storeChoices(t, 12u, best.id3, scores3 * params.scale); }
  if (isTiny && (params.renormalize == 1u || abs(params.scale) > 1.0)) { restoreScoresAt(t, first, row); }
}
