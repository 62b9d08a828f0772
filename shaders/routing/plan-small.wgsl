// Histogram, scan and scatter in one dispatch, for few choices: see those three for what each output means.
// ids [[2,0],[2,1]] with 3 experts -> start_E = [0,1,2,4], slot = [[2,0],[3,1]], rowToken = [0,1,0,1].
// Grid    one workgroup; a lane owns choices lane, lane + WG, ... and experts likewise.
// Memory  counters and two values per expert in workgroup storage.
// Order   experts, then tokens, then k: exact and stable.
// Edges   any number of choices, E <= MAX_EXPERTS; an id that is no expert gets NO_SLOT and no row.

const WG : u32 = 64u;               // spec: lanes
const MAX_EXPERTS : u32 = 256u;     // spec: room for the scan
const NO_SLOT : u32 = 0xffffffffu;

alias Count = u32;   // of an expert: rows

struct Params { numChoices : u32, numExperts : u32, topK : u32 }

@group(0) @binding(0) var<storage, read> ids_TK : array<u32>;
@group(0) @binding(1) var<storage, read_write> start_E : array<u32>;      // [E + 1]
@group(0) @binding(2) var<storage, read_write> slot_TK : array<u32>;
@group(0) @binding(3) var<storage, read_write> rowToken_R : array<u32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> found : array<atomic<u32>, MAX_EXPERTS>;
var<workgroup> total : array<Count, MAX_EXPERTS>;
var<workgroup> ofRun : array<Count, WG>;

// Exclusive sums of `total` over the experts, in place: a lane sums its run of experts, then starts where the runs
// before it end. Returns the sum of all.
fn scanExperts(lane : u32) -> Count {
  let run = (params.numExperts + WG - 1u) / WG;
  let first = min(lane * run, params.numExperts);
  let end = min(first + run, params.numExperts);
  var own = Count();
  for (var e = first; e < end; e += 1u) { own += total[e]; }
  ofRun[lane] = own;
  workgroupBarrier();
  var running = Count();
  var all = Count();
  for (var other = 0u; other < WG; other += 1u) {
    if (other == lane) { running = all; }
    all += ofRun[other];
  }
  for (var e = first; e < end; e += 1u) {
    let count = total[e];
    total[e] = running;
    running += count;
  }
  workgroupBarrier();
  return all;
}

// As place of scatter.wgsl, with `total` for the next row of each expert: the scan leaves them there.
fn placeByTotal(first : u32, count : u32, lane : u32) {
  var e = NO_SLOT;
  if (lane < count) { e = ids_TK[first + lane]; }
  var same = 0u;
  var before = 0u;
  for (var j = 0u; j < count; j += 1u) {
    let hit = select(0u, 1u, ids_TK[first + j] == e);
    same += hit;
    before += select(0u, hit, j < lane);
  }
  let known = e < params.numExperts;
  var slot = NO_SLOT;
  if (known) { slot = total[e] + before; }
  workgroupBarrier();
  if (known && before + 1u == same) { total[e] += same; }
  workgroupBarrier();
  if (known) { rowToken_R[slot] = (first + lane) / params.topK; }
  if (lane < count) { slot_TK[first + lane] = slot; }
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane : u32) {
  for (var e = lane; e < params.numExperts; e += WG) { atomicStore(&found[e], 0u); }
  workgroupBarrier();
  for (var i = lane; i < params.numChoices; i += WG) {
    let e = ids_TK[i];
    if (e < params.numExperts) { atomicAdd(&found[e], 1u); }
  }
  workgroupBarrier();
  for (var e = lane; e < params.numExperts; e += WG) { total[e] = atomicLoad(&found[e]); }
  workgroupBarrier();
  let all = scanExperts(lane);
  for (var e = lane; e < params.numExperts; e += WG) { start_E[e] = total[e]; }
  if (lane == 0u) { start_E[params.numExperts] = all; }
  for (var first = 0u; first < params.numChoices; first += WG) {
    placeByTotal(first, min(WG, params.numChoices - first), lane);
  }
}
