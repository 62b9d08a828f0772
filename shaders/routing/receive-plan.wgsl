// Where rows land on the rank that owns the experts, and which tiles its grouped GEMM has.
// From the starts of every source rank s it derives the count c[s,e] = start[s,e+1] - start[s,e] of each local
// expert, receive places sorted by (local expert, source), and tiles of at most tileRows rows of one expert.
// Example: 2 sources, 2 local experts, c = [[1,2],[3,0]] -> receiveStart[e,s] = [[0,1],[4,6]], 6 rows;
// with tileRows = 4 the tiles are (0,0,4), (1,4,6).
// Grid    one workgroup per rank, no atomics: a lane sums experts lane, lane + WG, ...; lane 0 scans.
// Memory  two values per local expert in workgroup storage.
// Order   integers: exact.
// Edges   an empty expert has no tile; unused entries of the tile list have no rows.

const WG : u32 = 64u;               // spec: lanes
const MAX_EXPERTS : u32 = 256u;     // spec: room for the local experts

struct Params {
  numSources : u32,     // ranks that send
  numExperts : u32,     // of the whole layer
  firstExpert : u32,    // this rank's first expert
  localExperts : u32,
  tileRows : u32,
  tileCapacity : u32,   // entries of the tile list
  columnGroups : u32,   // x of the up projection's grid
  downColumnGroups : u32,   // x of the down projection's grid
}

@group(0) @binding(0) var<storage, read> start_SE : array<u32>;               // [S, E + 1], gathered from the sources
@group(0) @binding(1) var<storage, read_write> receiveStart_ES : array<u32>;  // [local E, S]
@group(0) @binding(2) var<storage, read_write> tiles : array<vec4<u32>>;      // local expert, first row, end row, -
@group(0) @binding(3) var<storage, read_write> grid : array<u32>;             // x, y, z for two indirect dispatches: [up, rows], [down, rows]
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> rowStart : array<u32, MAX_EXPERTS + 1u>;
var<workgroup> tileStart : array<u32, MAX_EXPERTS + 1u>;

fn countOf(source : u32, e : u32) -> u32 {
  let at = source * (params.numExperts + 1u) + params.firstExpert + e;
  return start_SE[at + 1u] - start_SE[at];
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane : u32) {
  for (var e = lane; e < params.localExperts; e += WG) {
    var rows = 0u;
    for (var s = 0u; s < params.numSources; s += 1u) { rows += countOf(s, e); }
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
    grid[0] = params.columnGroups;
    grid[4] = params.downColumnGroups;
    for (var dispatch = 0u; dispatch < 8u; dispatch += 4u) {
      grid[dispatch + 1u] = numTiles;
      grid[dispatch + 2u] = 1u;
      grid[dispatch + 3u] = rows;
    }
  }
  workgroupBarrier();
  for (var e = lane; e < params.localExperts; e += WG) {
    var place = rowStart[e];
    for (var s = 0u; s < params.numSources; s += 1u) {
      receiveStart_ES[e * params.numSources + s] = place;
      place += countOf(s, e);
    }
    var first = rowStart[e];
    for (var tile = tileStart[e]; tile < tileStart[e + 1u]; tile += 1u) {
      tiles[tile] = vec4<u32>(e, first, min(first + params.tileRows, rowStart[e + 1u]), 0u);
      first += params.tileRows;
    }
  }
  for (var tile = tileStart[params.localExperts] + lane; tile < params.tileCapacity; tile += WG) {
    tiles[tile] = vec4<u32>(0u, 0u, 0u, 0u);
  }
}
