// Histogram, scan and scatter in one dispatch, for few choices: see those three for what each output means.
// ids [[2,0],[2,1]] with 3 experts -> start_E = [0,1,2,4], slot = [[2,0],[3,1]], rowToken = [0,1,0,1].
// Grid    one workgroup; a lane counts experts lane, lane + WG, ... and places choices lane, lane + WG, ...
// Memory  ids and one value per expert in workgroup storage.
// Order   experts, then tokens, then k: exact and stable.
// Edges   at most MAX_CHOICES choices and MAX_EXPERTS experts; an id that is no expert gets NO_SLOT and no row.

const WG : u32 = 64u;               // spec: lanes
const MAX_CHOICES : u32 = 512u;     // spec: room for the ids
const MAX_EXPERTS : u32 = 256u;     // spec: room for the scan
const NO_SLOT : u32 = 0xffffffffu;

struct Params { numChoices : u32, numExperts : u32, topK : u32 }

@group(0) @binding(0) var<storage, read> ids_TK : array<u32>;
@group(0) @binding(1) var<storage, read_write> start_E : array<u32>;      // [E + 1]
@group(0) @binding(2) var<storage, read_write> slot_TK : array<u32>;
@group(0) @binding(3) var<storage, read_write> rowToken_R : array<u32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> ids : array<u32, MAX_CHOICES>;
var<workgroup> total : array<u32, MAX_EXPERTS>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane : u32) {
  for (var i = lane; i < params.numChoices; i += WG) { ids[i] = ids_TK[i]; }
  workgroupBarrier();
  for (var e = lane; e < params.numExperts; e += WG) {
    var found = 0u;
    for (var i = 0u; i < params.numChoices; i += 1u) { found += select(0u, 1u, ids[i] == e); }
    total[e] = found;
  }
  workgroupBarrier();
  if (lane == 0u) {
    var running = 0u;
    for (var e = 0u; e < params.numExperts; e += 1u) {
      start_E[e] = running;
      let count = total[e];
      total[e] = running;
      running += count;
    }
    start_E[params.numExperts] = running;
  }
  workgroupBarrier();
  for (var i = lane; i < params.numChoices; i += WG) {
    let e = ids[i];
    var slot = NO_SLOT;
    if (e < params.numExperts) {
      slot = total[e];
      for (var j = 0u; j < i; j += 1u) { slot += select(0u, 1u, ids[j] == e); }
      rowToken_R[slot] = i / params.topK;
    }
    slot_TK[i] = slot;
  }
}
