// Where rows land on the ranks that own the experts, and which tiles their grouped GEMM has.
// From the starts of every source rank s it derives the count c[s,e] = start[s,e+1] - start[s,e] of each expert; on each
// owner receive places sorted by (local expert, source); and tiles of at most tileRows rows of one expert. Owners whose
// experts lie in one stack share a list: tiles then count experts through the stack, and owner i's rows from i rowStride.
// Example: 2 sources, an owner of 2 experts, c = [[1,2],[3,0]] -> receiveStart[e,s] = [[0,1],[4,6]], 6 rows;
// with tileRows = 4 the tiles are (0,0,4), (1,4,6). Two owners of 1 expert, rowStride 64: receiveStart = [[0,1]], [[0,2]],
// tiles (0,0,4), (1,64,66).
// Grid    a workgroup per list, no atomics: a lane sums experts lane, lane + WG, ...; lane 0 scans.
// Memory  three values per expert in workgroup storage. A workgroup touches its own ranks' parts only.
// Order   integers: exact.
// Edges   an empty expert has no tile; unused entries of the tile list have no rows.

const WG : u32 = 64u;               // spec: lanes
const MAX_EXPERTS : u32 = 256u;     // spec: room for the experts of a list

struct Params {
  numSources : u32,     // ranks that send
  numExperts : u32,     // of the whole layer
  firstExpert : u32,    // of the first list's first owner; the next owners have the experts after it
  localExperts : u32,   // of one owner
  numOwners : u32,      // ranks with one list
  numLists : u32,
  rowStride : u32,      // rows from one owner's part to the next
  tileRows : u32,
  tileCapacity : u32,   // entries of a list
  columnGroups : u32,   // x of the up projection's grid
  downColumnGroups : u32,   // x of the down projection's grid
  firstMember : u32,    // the group's place in the members' list
  startsStride : u32,   // words of one rank's part of each array; a list lies in the parts of its owners
  placeStride : u32,
  tilesStride : u32,
  gridStride : u32,
}

@group(0) @binding(0) var<storage, read> members : array<u32>;
@group(0) @binding(1) var<storage, read> start_SE : array<u32>;               // per rank: [S, E + 1], gathered
@group(0) @binding(2) var<storage, read_write> receiveStart_ES : array<u32>;  // per rank: [local E, S]
@group(0) @binding(3) var<storage, read_write> tiles : array<vec4<u32>>;      // per list: expert, first row, end row, -
@group(0) @binding(4) var<storage, read_write> grid : array<u32>;             // per list: x, y, z, rows for two dispatches
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> rowCount : array<u32, MAX_EXPERTS>;
var<workgroup> rowStart : array<u32, MAX_EXPERTS>;
var<workgroup> tileStart : array<u32, MAX_EXPERTS + 1u>;

// Where the owner of expert `e` of a list keeps that expert's start on the first source.
fn startsOf(firstOwner : u32, e : u32) -> u32 {
  let owner = firstOwner + e / params.localExperts;
  let expert = params.firstExpert + firstOwner * params.localExperts + e;
  return members[params.firstMember + owner] * params.startsStride + expert;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let firstOwner = group.x * params.numOwners;
  let firstRank = members[params.firstMember + firstOwner];
  let list = firstRank * (params.tilesStride / 4u);
  let own = firstRank * params.gridStride;
  let width = params.numExperts + 1u;
  let numExperts = params.numOwners * params.localExperts;
  for (var e = lane; e < numExperts; e += WG) {
    let starts = startsOf(firstOwner, e);
    var rows = 0u;
    for (var s = 0u; s < params.numSources; s += 1u) {
      let at = starts + s * width;
      rows += start_SE[at + 1u] - start_SE[at];
    }
    rowCount[e] = rows;
  }
  workgroupBarrier();
  if (lane == 0u) {
    var row = 0u;
    var rows = 0u;
    var numTiles = 0u;
    for (var e = 0u; e < numExperts; e += 1u) {
      let count = rowCount[e];
      if (e % params.localExperts == 0u) { row = (e / params.localExperts) * params.rowStride; }
      rowStart[e] = row;
      tileStart[e] = numTiles;
      row += count;
      rows += count;
      numTiles += (count + params.tileRows - 1u) / params.tileRows;
    }
    tileStart[numExperts] = numTiles;
    grid[own] = params.columnGroups;
    grid[own + 4u] = params.downColumnGroups;
    for (var dispatch = own; dispatch < own + 8u; dispatch += 4u) {
      grid[dispatch + 1u] = numTiles;
      grid[dispatch + 2u] = 1u;
      grid[dispatch + 3u] = rows;
    }
  }
  workgroupBarrier();
  for (var e = lane; e < numExperts; e += WG) {
    let owner = e / params.localExperts;
    let starts = startsOf(firstOwner, e);
    let places = members[params.firstMember + firstOwner + owner] * params.placeStride
               + (e % params.localExperts) * params.numSources;
    var place = rowStart[e] - owner * params.rowStride;
    for (var s = 0u; s < params.numSources; s += 1u) {
      receiveStart_ES[places + s] = place;
      let at = starts + s * width;
      place += start_SE[at + 1u] - start_SE[at];
    }
    var first = rowStart[e];
    let end = first + rowCount[e];
    for (var tile = tileStart[e]; tile < tileStart[e + 1u]; tile += 1u) {
      tiles[list + tile] = vec4<u32>(e, first, min(first + params.tileRows, end), 0u);
      first += params.tileRows;
    }
  }
  for (var tile = tileStart[numExperts] + lane; tile < params.tileCapacity; tile += WG) {
    tiles[list + tile] = vec4<u32>(0u, 0u, 0u, 0u);
  }
}
