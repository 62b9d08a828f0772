// Stable places: slot[t,k] = row of choice (t,k) when all choices are sorted by expert, then token, then k;
// rowToken[slot] = t is the inverse that gathers the rows.
// Grid    a workgroup per block of BLOCK choices; a lane owns choices lane, lane + WG, ...
// Memory  the block's ids are read once into workgroup storage.
// Order   a choice's rank in its block is the number of earlier choices of the same expert: exact.
// Edges   an id that is no expert gets NO_SLOT and no row.

const WG : u32 = 64u;               // spec: lanes
const BLOCK : u32 = 256u;           // spec: choices per block
const NO_SLOT : u32 = 0xffffffffu;

struct Params { numChoices : u32, numExperts : u32, topK : u32 }

@group(0) @binding(0) var<storage, read> ids_TK : array<u32>;
@group(0) @binding(1) var<storage, read> blockStart_BE : array<u32>;
@group(0) @binding(2) var<storage, read_write> slot_TK : array<u32>;
@group(0) @binding(3) var<storage, read_write> rowToken_R : array<u32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> ids : array<u32, BLOCK>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let first = group.x * BLOCK;
  let count = min(BLOCK, params.numChoices - first);
  for (var i = lane; i < count; i += WG) { ids[i] = ids_TK[first + i]; }
  workgroupBarrier();
  for (var i = lane; i < count; i += WG) {
    let e = ids[i];
    var slot = NO_SLOT;
    if (e < params.numExperts) {
      slot = blockStart_BE[group.x * params.numExperts + e];
      for (var j = 0u; j < i; j += 1u) { slot += select(0u, 1u, ids[j] == e); }
      rowToken_R[slot] = (first + i) / params.topK;
    }
    slot_TK[first + i] = slot;
  }
}
