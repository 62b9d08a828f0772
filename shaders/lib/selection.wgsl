// Top-k by a whole workgroup, from logits in workgroup storage.

// The key of an expert's score, with its bias; a masked one stays masked.
fn scoreKey(e : u32, row : Row) -> i32 {
  var value = scoreOf(logits[e], row);
  if (BIASED) { value += bias_E[e]; }
  return select(keyOf(value), MASKED, keyOf(logits[e]) == MASKED);
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
