// blockCount[b,e] = how many of block b's choices go to expert e (a choice is one (token, k) pair, in order).
// Grid    a workgroup per block of BLOCK choices; a lane counts experts lane, lane + WG, ...
// Memory  the block's ids are read once into workgroup storage.
// Order   integers: exact.
// Edges   any number of choices and experts; an id that is no expert is counted nowhere.

const WG : u32 = 64u;        // spec: lanes
const BLOCK : u32 = 256u;    // spec: choices per block

struct Params { numChoices : u32, numExperts : u32 }

@group(0) @binding(0) var<storage, read> ids_TK : array<u32>;
@group(0) @binding(1) var<storage, read_write> blockCount_BE : array<u32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> ids : array<u32, BLOCK>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let first = group.x * BLOCK;
  let count = min(BLOCK, params.numChoices - first);
  for (var i = lane; i < count; i += WG) { ids[i] = ids_TK[first + i]; }
  workgroupBarrier();
  for (var e = lane; e < params.numExperts; e += WG) {
    var found = 0u;
    for (var i = 0u; i < count; i += 1u) { found += select(0u, 1u, ids[i] == e); }
    blockCount_BE[group.x * params.numExperts + e] = found;
  }
}
