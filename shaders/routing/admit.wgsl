// A slot for every choice of the ranks of an expert-parallel group: rows are dealt to the replicas of their experts by a
// table of turns, every slot takes at most `capacity` of them, and a policy says what becomes of the rest.
// Example: ids [0,0,0,1], an expert a slot, capacity 2 by position -> slots [0,0,NO_SLOT,1].
// Grid    a workgroup per source, or one for all of them in their order; a lane owns choices lane, lane + WG,
//         ..., or tokens likewise where a token's choices ask together.
// Memory  four words a choice of scratch; counters of experts and slots in workgroup storage.
// Order   sources, tokens, choices: integers are exact, the sums of scores are by lane, then over the lanes.
// Edges   an id that is no expert gets NO_SLOT and counts nowhere; any number of choices; a capacity of 0 takes none.

const WG : u32 = 64u;               // spec: lanes
const MAX_EXPERTS : u32 = 256u;     // spec: room for counters of experts, at least MAX_SLOTS
const MAX_SLOTS : u32 = 256u;       // spec: room for counters of slots
const POLICY : u32 = 0u;            // spec: 0 dropless, 1 by position, 2 by score, 3 next best, 4 spill
const NO_SLOT : u32 = 0xffffffffu;
const STATS : u32 = 8u;             // words of a rank's account, see `account`

struct Params {
  topK : u32, numExperts : u32, numSlots : u32,
  turns : u32,            // of the table that deals
  mostChoices : u32,      // room of a part
  together : u32,         // 1: one capacity for the rows of all sources
  sigmoid : u32,          // 1: scores are sigmoids of logits, not a softmax
  firstMember : u32, groupSize : u32,
  choiceStride : u32,     // words of a part of ids, scores and slots
  logitStride : u32, workStride : u32,
}

@group(0) @binding(0) var<storage, read> members : array<u32>;
@group(0) @binding(1) var<storage, read> loads_S4 : array<vec4<u32>>;   // per rank: tokens, capacity, whether the fullest slot's rows are one, -
@group(0) @binding(2) var<storage, read> places : array<u32>;           // [E, turns] slots, [E + 1] first replicas, slots of the replicas
@group(0) @binding(3) var<storage, read> ids_TK : array<u32>;
@group(0) @binding(4) var<storage, read> logits_TE : array<f32>;        // bound to the ids where no expert is asked by its score
@group(0) @binding(5) var<storage, read_write> score_TK : array<u32>;   // bits of f32
@group(0) @binding(6) var<storage, read_write> slot_TK : array<u32>;
@group(0) @binding(7) var<storage, read_write> work : array<u32>;       // [E] load, [P] offered, [P] kept, account; then of choices
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> ofExpert : array<u32, MAX_EXPERTS>;        // rows so far; later the lowest score that a slot takes
var<workgroup> offered : array<atomic<u32>, MAX_SLOTS>;
var<workgroup> above : array<atomic<u32>, MAX_SLOTS>;     // rows with a score that is tried, or higher than the lowest
var<workgroup> taken : array<u32, MAX_SLOTS>;
var<workgroup> wanted : array<u32, WG>;
var<workgroup> left : array<atomic<u32>, 1>;
var<workgroup> goOn : u32;
var<workgroup> sums : array<vec2<f32>, WG>;
var<workgroup> rows : array<vec4<u32>, WG>;

struct Source { member : u32, rank : u32, tokens : u32, choices : u32, own : u32, work : u32, perChoice : u32 }

fn sourceAt(member : u32) -> Source {
  let rank = members[params.firstMember + member];
  let tokens = loads_S4[rank].x;
  let begin = rank * params.workStride;
  let counters = params.numExperts + 2u * params.numSlots + STATS;
  return Source(member, rank, tokens, tokens * params.topK, rank * params.choiceStride, begin, begin + counters);
}

// Of choice i: the slot that it asks for, the one it was dealt to, the bits of its score; of token t the expert asked last.
fn want(s : Source, i : u32) -> u32 { return s.perChoice + i; }
fn dealt(s : Source, i : u32) -> u32 { return s.perChoice + params.mostChoices + i; }
fn given(s : Source, i : u32) -> u32 { return s.perChoice + 2u * params.mostChoices + i; }
fn asked(s : Source, t : u32) -> u32 { return s.perChoice + 3u * params.mostChoices + t; }

// How many lanes of a chunk want what this one does, and how many of those come before it.
fn countSame(own : u32, lane : u32) -> vec2<u32> {
  var same = 0u;
  var before = 0u;
  for (var j = 0u; j < WG; j += 1u) {
    let hit = select(0u, 1u, wanted[j] == own);
    same += hit;
    before += select(0u, hit, j < lane);
  }
  return vec2<u32>(same, before);
}

// Row `index` of an expert goes where its turn says; sources begin at different turns.
fn deal(s : Source, lane : u32) {
  for (var e = lane; e < params.numExperts; e += WG) { ofExpert[e] = 0u; }
  let firstTurn = s.member * params.turns / params.groupSize;
  for (var first = 0u; first < s.choices; first += WG) {
    let i = first + lane;
    var e = NO_SLOT;
    if (i < s.choices) { e = ids_TK[s.own + i]; }
    if (e >= params.numExperts) { e = NO_SLOT; }
    wanted[lane] = e;
    workgroupBarrier();
    let found = countSame(e, lane);
    var slot = NO_SLOT;
    if (e != NO_SLOT) {
      slot = places[e * params.turns + (ofExpert[e] + found.y + firstTurn) % params.turns];
      atomicAdd(&offered[slot], 1u);
    }
    workgroupBarrier();
    if (e != NO_SLOT && found.y + 1u == found.x) { ofExpert[e] += found.x; }
    if (i < s.choices) {
      work[want(s, i)] = slot;
      work[dealt(s, i)] = slot;
      work[given(s, i)] = score_TK[s.own + i];
      slot_TK[s.own + i] = select(NO_SLOT, slot, POLICY == 0u);
    }
  }
  for (var t = lane; t < s.tokens; t += WG) { work[asked(s, t)] = NO_SLOT; }
  workgroupBarrier();
  for (var e = lane; e < params.numExperts; e += WG) { work[s.work + e] = ofExpert[e]; }
}

// Slots take who asks, in the order of positions, as long as they have room.
fn serve(s : Source, capacity : u32, lane : u32) {
  for (var first = 0u; first < s.choices; first += WG) {
    let i = first + lane;
    var slot = NO_SLOT;
    if (i < s.choices) { slot = work[want(s, i)]; }
    wanted[lane] = slot;
    workgroupBarrier();
    let found = countSame(slot, lane);
    var room = 0u;
    if (slot != NO_SLOT) { room = capacity - min(capacity, taken[slot]); }
    workgroupBarrier();
    if (slot != NO_SLOT) {
      if (found.y < room) {
        slot_TK[s.own + i] = slot;
        work[want(s, i)] = NO_SLOT;
      }
      if (found.y + 1u == found.x) { taken[slot] += min(found.x, room); }
    }
  }
}

// A slot's capacity-th highest score, bit by bit from the top: the bits of scores, which are not negative, are in order.
fn findLowest(firstSource : u32, endSource : u32, capacity : u32, lane : u32) {
  for (var p = lane; p < params.numSlots; p += WG) { ofExpert[p] = 0u; }
  for (var bit = 0x40000000u; bit > 0u; bit >>= 1u) {
    for (var p = lane; p < params.numSlots; p += WG) { atomicStore(&above[p], 0u); }
    workgroupBarrier();
    for (var member = firstSource; member < endSource; member += 1u) {
      let s = sourceAt(member);
      for (var i = lane; i < s.choices; i += WG) {
        let slot = work[want(s, i)];
        if (slot != NO_SLOT && keyOfScore(s, i) >= (ofExpert[slot] | bit)) { atomicAdd(&above[slot], 1u); }
      }
    }
    workgroupBarrier();
    for (var p = lane; p < params.numSlots; p += WG) {
      if (atomicLoad(&above[p]) >= capacity) { ofExpert[p] |= bit; }
    }
  }
}

fn keyOfScore(s : Source, i : u32) -> u32 { return work[given(s, i)] & 0x7fffffffu; }

// Rows above a slot's lowest score are taken, those below it dropped; of those that have it the first ask on.
fn takeBest(firstSource : u32, endSource : u32, lane : u32) {
  for (var p = lane; p < params.numSlots; p += WG) { atomicStore(&above[p], 0u); }
  workgroupBarrier();
  for (var member = firstSource; member < endSource; member += 1u) {
    let s = sourceAt(member);
    for (var i = lane; i < s.choices; i += WG) {
      let slot = work[want(s, i)];
      if (slot == NO_SLOT) { continue; }
      let key = keyOfScore(s, i);
      if (key > ofExpert[slot]) {
        atomicAdd(&above[slot], 1u);
        slot_TK[s.own + i] = slot;
      }
      if (key != ofExpert[slot]) { work[want(s, i)] = NO_SLOT; }
    }
  }
  workgroupBarrier();
  for (var p = lane; p < params.numSlots; p += WG) { taken[p] = atomicLoad(&above[p]); }
}

// Replica `index` of an expert, around.
fn replica(e : u32, index : u32) -> u32 {
  let firsts = params.numExperts * params.turns;
  let first = places[firsts + e];
  return places[firsts + params.numExperts + 1u + first + index % replicasOf(e)];
}

fn replicasOf(e : u32) -> u32 {
  let firsts = params.numExperts * params.turns;
  return places[firsts + e + 1u] - places[firsts + e];
}

// Whether a choice was not placed; one without an expert has nowhere to go.
fn isLeft(s : Source, i : u32) -> bool {
  return slot_TK[s.own + i] == NO_SLOT && ids_TK[s.own + i] < params.numExperts;
}

// Every row that is left asks the next replica of its expert in the order of slots.
fn askReplicas(s : Source, round : u32, lane : u32) {
  for (var i = lane; i < s.choices; i += WG) {
    if (!isLeft(s, i)) { continue; }
    let e = ids_TK[s.own + i];
    let count = replicasOf(e);
    var slot = NO_SLOT;
    if (round < count) {
      var index = 0u;
      while (index + 1u < count && replica(e, index) != work[dealt(s, i)]) { index += 1u; }
      slot = replica(e, index + round);
      atomicAdd(&left[0], 1u);
    }
    work[want(s, i)] = slot;
  }
}

// The best expert of a token after `last` that it did not choose, of equal ones the first; NO_SLOT when there is none.
fn nextBest(s : Source, t : u32, last : u32) -> u32 {
  let row = s.rank * params.logitStride + t * params.numExperts;
  var found = NO_SLOT;
  for (var e = 0u; e < params.numExperts; e += 1u) {
    if (last != NO_SLOT && !(logits_TE[row + last] > logits_TE[row + e]
                             || (logits_TE[row + last] == logits_TE[row + e] && last < e))) { continue; }
    var chosen = false;
    for (var k = 0u; k < params.topK; k += 1u) { chosen = chosen || ids_TK[s.own + t * params.topK + k] == e; }
    if (!chosen && (found == NO_SLOT || logits_TE[row + e] > logits_TE[row + found])) { found = e; }
  }
  return found;
}

// The rows of a token that are left ask its next best experts, the first of them the better one.
fn askNextBest(s : Source, lane : u32) {
  for (var t = lane; t < s.tokens; t += WG) {
    var last = work[asked(s, t)];
    var out = last == params.numExperts;
    for (var i = t * params.topK; i < (t + 1u) * params.topK; i += 1u) {
      if (!isLeft(s, i)) { continue; }
      var e = NO_SLOT;
      if (!out) { e = nextBest(s, t, last); }
      out = e == NO_SLOT;
      if (out) {
        last = params.numExperts;
        work[want(s, i)] = NO_SLOT;
      } else {
        last = e;
        work[want(s, i)] = replica(e, i);
        atomicAdd(&left[0], 1u);
      }
    }
    work[asked(s, t)] = last;
  }
}

// A score in proportion to that of another logit.
fn shareOf(logit : f32, highest : f32) -> f32 {
  if (params.sigmoid == 1u) { return 1.0 / (1.0 + exp(-logit)); }
  return exp(logit - highest);
}

// A row that an expert took which its token did not choose weighs by that expert's score.
fn reweigh(s : Source, lane : u32) {
  for (var t = lane; t < s.tokens; t += WG) {
    let row = s.rank * params.logitStride + t * params.numExperts;
    let first = t * params.topK;
    var highest = -3.0e38;
    for (var i = first; i < first + params.topK; i += 1u) {
      let e = ids_TK[s.own + i];
      if (e < params.numExperts && logits_TE[row + e] > highest) { highest = logits_TE[row + e]; }
    }
    var weights = 0.0;
    var shares = 0.0;
    for (var i = first; i < first + params.topK; i += 1u) {
      let e = ids_TK[s.own + i];
      if (e >= params.numExperts) { continue; }
      weights += bitcast<f32>(work[given(s, i)]);
      shares += shareOf(logits_TE[row + e], highest);
    }
    for (var i = first; i < first + params.topK; i += 1u) {
      let slot = slot_TK[s.own + i];
      if (slot == NO_SLOT || slot == work[dealt(s, i)]) { continue; }
      let e = expertOf(slot);
      score_TK[s.own + i] = bitcast<u32>(shareOf(logits_TE[row + e], highest) * (weights / shares));
    }
  }
}

// By a search through all replicas: only rows that moved ask.
fn expertOf(slot : u32) -> u32 {
  for (var e = 0u; e < params.numExperts; e += 1u) {
    for (var index = 0u; index < replicasOf(e); index += 1u) {
      if (replica(e, index) == slot) { return e; }
    }
  }
  return 0u;
}

// Adds to a rank's account: rows offered, kept, moved, the first token with a score that is no number (plus one); and as f32
// the scores offered and lost. What has no slot weighs nothing.
fn account(s : Source, lane : u32) {
  var count = vec4<u32>();
  var mass = vec2<f32>();
  for (var i = lane; i < s.choices; i += WG) {
    let asked = work[dealt(s, i)];
    let slot = slot_TK[s.own + i];
    let before = work[given(s, i)];
    let after = select(score_TK[s.own + i], 0u, slot == NO_SLOT);
    score_TK[s.own + i] = after;
    if (asked == NO_SLOT) { continue; }
    count += vec4<u32>(1u, select(1u, 0u, slot == NO_SLOT), select(1u, 0u, slot == NO_SLOT || slot == asked), 0u);
    if ((before & 0x7f800000u) == 0x7f800000u && count.w == 0u) { count.w = i / params.topK + 1u; }
    mass += vec2<f32>(bitcast<f32>(before), bitcast<f32>(before) - bitcast<f32>(after));
  }
  rows[lane] = count;
  sums[lane] = mass;
  workgroupBarrier();
  for (var word = lane; word < 6u; word += WG) {
    let at = s.work + params.numExperts + 2u * params.numSlots + word;
    let before = work[at];
    var rowsOf = before;
    var massOf = bitcast<f32>(before);
    for (var other = 0u; other < WG; other += 1u) {
      let more = rows[other][word & 3u];
      if (word < 3u) { rowsOf += more; }
      if (word == 3u && more > 0u && (rowsOf == 0u || (before == 0u && more < rowsOf))) { rowsOf = more; }
      massOf += sums[other][word & 1u];
    }
    work[at] = select(rowsOf, bitcast<u32>(massOf), word > 3u);
  }
  workgroupBarrier();
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let firstSource = group.x;
  let endSource = select(group.x + 1u, params.groupSize, params.together == 1u);
  for (var p = lane; p < params.numSlots; p += WG) {
    atomicStore(&offered[p], 0u);
    taken[p] = 0u;
  }
  if (lane == 0u) { atomicStore(&left[0], 0u); }
  for (var member = firstSource; member < endSource; member += 1u) { deal(sourceAt(member), lane); }
  let load = loads_S4[members[params.firstMember + firstSource]];
  var capacity = load.y;
  if (load.z == 1u) {
    var fullest = 0u;
    for (var p = 0u; p < params.numSlots; p += 1u) { fullest = max(fullest, atomicLoad(&offered[p])); }
    capacity = min(capacity, fullest);
  }
  if (POLICY == 2u) {
    findLowest(firstSource, endSource, capacity, lane);
    takeBest(firstSource, endSource, lane);
  }
  for (var round = 0u; POLICY > 0u; round += 1u) {
    if (round > 0u) {
      for (var member = firstSource; member < endSource; member += 1u) {
        if (POLICY == 3u) { askNextBest(sourceAt(member), lane); }
        if (POLICY == 4u) { askReplicas(sourceAt(member), round, lane); }
      }
      storageBarrier(); workgroupBarrier();
      if (lane == 0u) {
        goOn = atomicLoad(&left[0]);
        atomicStore(&left[0], 0u);
      }
      if (workgroupUniformLoad(&goOn) == 0u) { break; }
    }
    for (var member = firstSource; member < endSource; member += 1u) { serve(sourceAt(member), capacity, lane); }
    storageBarrier(); workgroupBarrier();
    if (POLICY < 3u) { break; }
  }
  if (POLICY == 3u) {
    for (var member = firstSource; member < endSource; member += 1u) { reweigh(sourceAt(member), lane); }
    storageBarrier(); workgroupBarrier();
  }
  for (var member = firstSource; member < endSource; member += 1u) {
    let s = sourceAt(member);
    let counts = s.work + params.numExperts;
    for (var p = lane; p < params.numSlots; p += WG) {
      let asked = atomicLoad(&offered[p]);
      work[counts + p] = select(0u, asked, member == firstSource);
      work[counts + params.numSlots + p] = select(0u, select(taken[p], asked, POLICY == 0u), member == firstSource);
    }
    account(s, lane);
  }
}
