// plan-small.wgsl for a rank that owns all experts: it also lists the tiles of the grouped GEMM over the sorted rows.
// ids [[2,0],[2,1]] with 3 experts -> slot = [[2,0],[3,1]], rowToken = [0,1,0,1]; tileRows = 2 ->
// tiles (0,0,1), (1,1,2), (2,2,4).
// Grid    one workgroup; a lane owns choices lane, lane + WG, ... and experts likewise.
// Memory  counters and three values per expert in workgroup storage.
// Order   experts, then tokens, then k: exact and stable.
// Edges   any number of choices, E <= MAX_EXPERTS; an id that is no expert gets NO_SLOT and no row.

const WG : u32 = 64u;               // spec: lanes
const MAX_EXPERTS : u32 = 256u;     // spec: room for the scan
const NO_SLOT : u32 = 0xffffffffu;

alias Count = vec2<u32>;   // of an expert: rows and tiles

struct Params {
  numChoices : u32, numExperts : u32, topK : u32,
  tileRows : u32, tileCapacity : u32,             // most rows of a tile, entries of the tile list
  columnGroups : u32, downColumnGroups : u32,     // x of the grids of the up and the down projection
}

@group(0) @binding(0) var<storage, read> ids_TK : array<u32>;
@group(0) @binding(1) var<storage, read_write> start_E : array<u32>;      // [E + 1]
@group(0) @binding(2) var<storage, read_write> slot_TK : array<u32>;
@group(0) @binding(3) var<storage, read_write> rowToken_R : array<u32>;
@group(0) @binding(4) var<storage, read_write> tiles : array<vec4<u32>>;   // expert, first row, end row, -
@group(0) @binding(5) var<storage, read_write> grid : array<u32>;          // x, y, z, rows for two indirect dispatches
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> found : array<atomic<u32>, MAX_EXPERTS>;
var<workgroup> next : array<u32, MAX_EXPERTS>;
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

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane : u32) {
  for (var e = lane; e < params.numExperts; e += WG) { atomicStore(&found[e], 0u); }
  workgroupBarrier();
  for (var i = lane; i < params.numChoices; i += WG) {
    let e = ids_TK[i];
    if (e < params.numExperts) { atomicAdd(&found[e], 1u); }
  }
  workgroupBarrier();
  for (var e = lane; e < params.numExperts; e += WG) { total[e] = rowsAndTiles(atomicLoad(&found[e])); }
  workgroupBarrier();
  let all = scanExperts(lane);
  for (var e = lane; e < params.numExperts; e += WG) {
    start_E[e] = total[e].x;
    next[e] = total[e].x;
  }
  if (lane == 0u) { start_E[params.numExperts] = all.x; }
  writeTiles(lane, all);
  workgroupBarrier();
  for (var first = 0u; first < params.numChoices; first += WG) {
    place(first, min(WG, params.numChoices - first), lane);
  }
}
