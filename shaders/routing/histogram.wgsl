// blockCount[b,e] = how many of block b's choices go to expert e (a choice is one (token, k) pair, in order).
// Grid    a workgroup per block of BLOCK choices, spread over y beyond 65,535; a lane counts choices lane, lane + WG,
//         ...
// Memory  reads each id once; a counter per expert in workgroup storage.
// Order   integers: exact in any order.
// Edges   E <= MAX_EXPERTS; any number of choices; an id that is no expert is counted nowhere.

const WG : u32 = 64u;               // spec: lanes
const BLOCK : u32 = 1024u;          // spec: choices per block
const MAX_EXPERTS : u32 = 256u;     // spec: room for the counters

struct Params { numChoices : u32, numExperts : u32 }

@group(0) @binding(0) var<storage, read> ids_TK : array<u32>;
@group(0) @binding(1) var<storage, read_write> blockCount_BE : array<u32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> count : array<atomic<u32>, MAX_EXPERTS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let blockIndex = group.y * groups.x + group.x;
  let first = blockIndex * BLOCK;
  if (first >= params.numChoices) { return; }
  for (var e = lane; e < params.numExperts; e += WG) { atomicStore(&count[e], 0u); }
  workgroupBarrier();
  let end = min(first + BLOCK, params.numChoices);
  for (var i = first + lane; i < end; i += WG) {
    let e = ids_TK[i];
    if (e < params.numExperts) { atomicAdd(&count[e], 1u); }
  }
  workgroupBarrier();
  for (var e = lane; e < params.numExperts; e += WG) {
    blockCount_BE[blockIndex * params.numExperts + e] = atomicLoad(&count[e]);
  }
}
