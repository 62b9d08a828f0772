// scan.wgsl for a rank that owns all experts: it also lists the tiles of the grouped GEMM over the sorted rows, each of
// one expert's rows, at most tileRows. Counts [[3,5]] with tileRows = 4 -> tiles (0,0,3), (1,3,7), (1,7,8).
// Grid    one workgroup; a lane walks the blocks of experts lane, lane + WG, ...
// Memory  two values per expert in workgroup storage; counts are read twice and written once.
// Order   integers: exact.
// Edges   E <= MAX_EXPERTS; an empty expert starts where the next one does and has no tile; unused entries of the tile
//         list have no rows.

const WG : u32 = 64u;               // spec: lanes
const MAX_EXPERTS : u32 = 256u;     // spec: room for the scan

alias Count = vec2<u32>;   // of an expert: rows and tiles

struct Params {
  numBlocks : u32, numExperts : u32,
  tileRows : u32, tileCapacity : u32,             // most rows of a tile, entries of the tile list
  columnGroups : u32, downColumnGroups : u32,     // x of the grids of the up and the down projection
}

@group(0) @binding(0) var<storage, read_write> blockStart_BE : array<u32>;   // in: counts, out: starts
@group(0) @binding(1) var<storage, read_write> start_E : array<u32>;         // [E + 1]
@group(0) @binding(2) var<storage, read_write> tiles : array<vec4<u32>>;   // expert, first row, end row, -
@group(0) @binding(3) var<storage, read_write> grid : array<u32>;          // x, y, z, rows for two indirect dispatches
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

// Rows of an expert and its tiles of at most tileRows rows.
fn rowsAndTiles(rows : u32) -> vec2<u32> {
  return vec2<u32>(rows, (rows + params.tileRows - 1u) / params.tileRows);
}

// The tiles of every expert, and the grids of the two projections.
fn writeTiles(lane : u32, all : vec2<u32>) {
  if (lane == 0u) {
    grid[0] = params.columnGroups;
    grid[4] = params.downColumnGroups;
    for (var dispatch = 0u; dispatch < 8u; dispatch += 4u) {
      grid[dispatch + 1u] = all.y;
      grid[dispatch + 2u] = 1u;
      grid[dispatch + 3u] = all.x;
    }
  }
  for (var e = lane; e < params.numExperts; e += WG) {
    var end = all.x;
    if (e + 1u < params.numExperts) { end = total[e + 1u].x; }
    var tile = total[e].y;
    for (var first = total[e].x; first < end; first += params.tileRows) {
      tiles[tile] = vec4<u32>(e, first, min(first + params.tileRows, end), 0u);
      tile += 1u;
    }
  }
  for (var tile = all.y + lane; tile < params.tileCapacity; tile += WG) { tiles[tile] = vec4<u32>(); }
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane : u32) {
  for (var e = lane; e < params.numExperts; e += WG) {
    var count = 0u;
    for (var b = 0u; b < params.numBlocks; b += 1u) { count += blockStart_BE[b * params.numExperts + e]; }
    total[e] = rowsAndTiles(count);
  }
  workgroupBarrier();
  let all = scanExperts(lane);
  for (var e = lane; e < params.numExperts; e += WG) {
    var running = total[e].x;
    start_E[e] = running;
    for (var b = 0u; b < params.numBlocks; b += 1u) {
      let at = b * params.numExperts + e;
      let count = blockStart_BE[at];
      blockStart_BE[at] = running;
      running += count;
    }
  }
  if (lane == 0u) { start_E[params.numExperts] = all.x; }
  writeTiles(lane, all);
}
