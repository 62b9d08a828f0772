// Turns counts per block into starts: start_E is the exclusive scan over experts (its last element the total),
// and blockStart[b,e] = start_E[e] + choices for e in earlier blocks. Overwrites the counts in place.
// Grid    one workgroup; a lane walks the blocks of experts lane, lane + WG, ...
// Memory  one value per expert in workgroup storage; counts are read twice and written once.
// Order   integers: exact. Example: counts [[1,0,1],[0,2,0]] -> start_E = [0,1,3,4], blockStart = [[0,1,3],[1,1,4]].
// Edges   E <= MAX_EXPERTS; an empty expert starts where the next one does.

const WG : u32 = 64u;               // spec: lanes
const MAX_EXPERTS : u32 = 256u;     // spec: room for the scan

alias Count = u32;   // of an expert: rows

struct Params { numBlocks : u32, numExperts : u32 }

@group(0) @binding(0) var<storage, read_write> blockStart_BE : array<u32>;   // in: counts, out: starts
@group(0) @binding(1) var<storage, read_write> start_E : array<u32>;         // [E + 1]
@group(1) @binding(0) var<uniform> params : Params;

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

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane : u32) {
  for (var e = lane; e < params.numExperts; e += WG) {
    var count = 0u;
    for (var b = 0u; b < params.numBlocks; b += 1u) { count += blockStart_BE[b * params.numExperts + e]; }
    total[e] = count;
  }
  workgroupBarrier();
  let all = scanExperts(lane);
  for (var e = lane; e < params.numExperts; e += WG) {
    var running = total[e];
    start_E[e] = running;
    for (var b = 0u; b < params.numBlocks; b += 1u) {
      let at = b * params.numExperts + e;
      let count = blockStart_BE[at];
      blockStart_BE[at] = running;
      running += count;
    }
  }
  if (lane == 0u) { start_E[params.numExperts] = all; }
}
