// Stable places: slot[t,k] = row of choice (t,k) when all choices are sorted by expert, then token, then k;
// rowToken[slot] = t is the inverse that gathers the rows.
// Grid    a workgroup per block of BLOCK choices, spread over y beyond 65,535, WG at a time: a lane counts earlier ones
//         of its expert among those.
// Memory  the next row of each expert in workgroup storage; the ids of the WG choices are read by all lanes together.
// Order   integers: exact. The last choice of an expert among WG moves its next row on.
// Edges   E <= MAX_EXPERTS; an id that is no expert gets NO_SLOT and no row.

const WG : u32 = 64u;               // spec: lanes
const BLOCK : u32 = 1024u;          // spec: choices per block, a multiple of WG
const MAX_EXPERTS : u32 = 256u;     // spec: room for the next rows
const NO_SLOT : u32 = 0xffffffffu;

struct Params { numChoices : u32, numExperts : u32, topK : u32 }

@group(0) @binding(0) var<storage, read> ids_TK : array<u32>;
@group(0) @binding(1) var<storage, read> blockStart_BE : array<u32>;
@group(0) @binding(2) var<storage, read_write> slot_TK : array<u32>;
@group(0) @binding(3) var<storage, read_write> rowToken_R : array<u32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> next : array<u32, MAX_EXPERTS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let blockIndex = group.y * groups.x + group.x;
  let begin = blockIndex * BLOCK;
  if (begin >= params.numChoices) { return; }
  for (var e = lane; e < params.numExperts; e += WG) {
    next[e] = blockStart_BE[blockIndex * params.numExperts + e];
  }
  workgroupBarrier();
  let end = min(begin + BLOCK, params.numChoices);
  for (var first = begin; first < end; first += WG) { place(first, min(WG, end - first), lane); }
}

// Places of `count` choices from `first` on; every lane takes part.
fn place(first : u32, count : u32, lane : u32) {
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
  if (known) { slot = next[e] + before; }
  workgroupBarrier();
  if (known && before + 1u == same) { next[e] += same; }
  workgroupBarrier();
  if (known) { rowToken_R[slot] = (first + lane) / params.topK; }
  if (lane < count) { slot_TK[first + lane] = slot; }
}
