// Where rows land on the rank that owns the experts, and which tiles its grouped GEMM has.
// From the starts of every source rank s it derives the count c[s,e] = start[s,e+1] - start[s,e] of each local
// expert, receive places sorted by (local expert, source), and tiles of at most tileRows rows of one expert.
// Example: 2 sources, 2 local experts, c = [[1,2],[3,0]] -> receiveStart[e,s] = [[0,1],[4,6]], 6 rows;
// with tileRows = 4 the tiles are (0,0,4), (1,4,6).
// Grid    a workgroup per rank of the group, no atomics: a lane sums experts lane, lane + WG, ...; lane 0 scans.
// Memory  two values per local expert in workgroup storage. A workgroup touches its own rank's parts only.
// Order   integers: exact.
// Edges   an empty expert has no tile; unused entries of the tile list have no rows.

const WG : u32 = 64u;               // spec: lanes
const MAX_EXPERTS : u32 = 256u;     // spec: room for the local experts

struct Params {
  numSources : u32,     // ranks that send
  numExperts : u32,     // of the whole layer
  firstExpert : u32,    // of the group's first rank; the next ranks own the experts after it
  localExperts : u32,
  tileRows : u32,
  tileCapacity : u32,   // entries of the tile list
  columnGroups : u32,   // x of the up projection's grid
  downColumnGroups : u32,   // x of the down projection's grid
  groupSize : u32,      // ranks that receive
  firstMember : u32,    // the group's place in the members' list
  startsStride : u32,   // words of one rank's part of each array
  placeStride : u32,
  tilesStride : u32,
  gridStride : u32,
}

@group(0) @binding(0) var<storage, read> members : array<u32>;
@group(0) @binding(1) var<storage, read> start_SE : array<u32>;               // per rank: [S, E + 1], gathered
@group(0) @binding(2) var<storage, read_write> receiveStart_ES : array<u32>;  // per rank: [local E, S]
@group(0) @binding(3) var<storage, read_write> tiles : array<vec4<u32>>;      // per rank: expert, first row, end row, -
@group(0) @binding(4) var<storage, read_write> grid : array<u32>;             // per rank: x, y, z, rows for two dispatches
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> rowStart : array<u32, MAX_EXPERTS + 1u>;
var<workgroup> tileStart : array<u32, MAX_EXPERTS + 1u>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let rank = members[params.firstMember + group.x];
  let starts = rank * params.startsStride + params.firstExpert + group.x * params.localExperts;
  let places = rank * params.placeStride;
  let list = rank * (params.tilesStride / 4u);
  let own = rank * params.gridStride;
  let width = params.numExperts + 1u;
  for (var e = lane; e < params.localExperts; e += WG) {
    var rows = 0u;
    for (var s = 0u; s < params.numSources; s += 1u) {
      let at = starts + s * width + e;
      rows += start_SE[at + 1u] - start_SE[at];
    }
    rowStart[e] = rows;
  }
  workgroupBarrier();
  if (lane == 0u) {
    var rows = 0u;
    var numTiles = 0u;
    for (var e = 0u; e < params.localExperts; e += 1u) {
      let count = rowStart[e];
      rowStart[e] = rows;
      tileStart[e] = numTiles;
      rows += count;
      numTiles += (count + params.tileRows - 1u) / params.tileRows;
    }
    rowStart[params.localExperts] = rows;
    tileStart[params.localExperts] = numTiles;
    grid[own] = params.columnGroups;
    grid[own + 4u] = params.downColumnGroups;
    for (var dispatch = own; dispatch < own + 8u; dispatch += 4u) {
      grid[dispatch + 1u] = numTiles;
      grid[dispatch + 2u] = 1u;
      grid[dispatch + 3u] = rows;
    }
  }
  workgroupBarrier();
  for (var e = lane; e < params.localExperts; e += WG) {
    var place = rowStart[e];
    for (var s = 0u; s < params.numSources; s += 1u) {
      receiveStart_ES[places + e * params.numSources + s] = place;
      let at = starts + s * width + e;
      place += start_SE[at + 1u] - start_SE[at];
    }
    var first = rowStart[e];
    for (var tile = tileStart[e]; tile < tileStart[e + 1u]; tile += 1u) {
      tiles[list + tile] = vec4<u32>(e, first, min(first + params.tileRows, rowStart[e + 1u]), 0u);
      first += params.tileRows;
    }
  }
  for (var tile = tileStart[params.localExperts] + lane; tile < params.tileCapacity; tile += WG) {
    tiles[list + tile] = vec4<u32>(0u, 0u, 0u, 0u);
  }
}
