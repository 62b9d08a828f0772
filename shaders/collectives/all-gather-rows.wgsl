// y[r, firstRow_m + i] = x[m, i] for every member m of r's group: each rank gets all shares of rows.
// x and y are symmetric arrays: one part of equal size per rank of the stage.
// Grid    x, and z beyond 65,535: rows of the largest whole, y: ranks from firstRank;
//         a lane owns columns lane, lane + WG, ...
// Memory  reads and writes each element once.
// Order   data movement: exact.
// Edges   shares may differ in length and be empty; a row that no member holds is left as it was.

const WG : u32 = 64u;   // spec: lanes per row

struct Params {
  maxRows : u32, firstRank : u32, numRanks : u32, width : u32,
  xStride : u32, yStride : u32,   // elements of one part
}

@group(0) @binding(0) var<storage, read> x : array<f32>;                // per rank: [rows, width]
@group(0) @binding(1) var<storage, read> members : array<u32>;
@group(0) @binding(2) var<storage, read> shares : array<vec4<u32>>;     // first member, group size, first row, rows
@group(0) @binding(3) var<storage, read_write> y : array<f32>;          // per rank: [rows, width]
@group(1) @binding(0) var<uniform> params : Params;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let row = group.z * groups.x + group.x;
  let rank = params.firstRank + group.y;
  let own = shares[rank];
  for (var m = 0u; m < own.y; m += 1u) {
    let member = members[own.x + m];
    let share = shares[member];
    if (row < share.z || row >= share.z + share.w) { continue; }
    let src = member * params.xStride + (row - share.z) * params.width;
    let to = rank * params.yStride + row * params.width;
    for (var d = lane; d < params.width; d += WG) { y[to + d] = x[src + d]; }
  }
}
