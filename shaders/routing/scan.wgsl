// Turns counts per block into starts: start_E is the exclusive scan over experts (its last element the total),
// and blockStart[b,e] = start_E[e] + choices for e in earlier blocks. Overwrites the counts in place.
// Grid    one workgroup; a lane walks the blocks of experts lane, lane + WG, ...; lane 0 scans the experts.
// Memory  one value per expert in workgroup storage.
// Order   integers: exact. Example: counts [[1,0,1],[0,2,0]] -> start_E = [0,1,3,4], blockStart = [[0,1,3],[1,1,4]].
// Edges   an empty expert starts where the next one does.

const WG : u32 = 64u;               // spec: lanes
const MAX_EXPERTS : u32 = 256u;     // spec: room for the scan

struct Params { numBlocks : u32, numExperts : u32 }

@group(0) @binding(0) var<storage, read_write> blockStart_BE : array<u32>;   // in: counts, out: starts
@group(0) @binding(1) var<storage, read_write> start_E : array<u32>;         // [E + 1]
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> total : array<u32, MAX_EXPERTS>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane : u32) {
  for (var e = lane; e < params.numExperts; e += WG) {
    var running = 0u;
    for (var b = 0u; b < params.numBlocks; b += 1u) {
      let at = b * params.numExperts + e;
      let count = blockStart_BE[at];
      blockStart_BE[at] = running;
      running += count;
    }
    total[e] = running;
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
  for (var e = lane; e < params.numExperts; e += WG) {
    for (var b = 0u; b < params.numBlocks; b += 1u) { blockStart_BE[b * params.numExperts + e] += total[e]; }
  }
}
