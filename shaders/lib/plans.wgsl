// Rows of the sorted choices: where each expert begins, and which row a choice gets.

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
