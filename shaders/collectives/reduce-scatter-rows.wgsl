// y[r, i] = sum over the members m of r's group of x[m, firstRow_r + i]: each rank keeps its share of the rows.
// x and y are symmetric arrays: one part of equal size per rank of the stage.
// Grid    x, and z beyond 65,535: rows of the largest share, y: ranks from firstRank;
//         a lane owns columns lane, lane + WG, ...
// Memory  reads one row per member, writes one; no workgroup storage, so no barrier.
// Order   members in the order of the group's list: the same bits on every run.
// Edges   shares may differ in length and be empty.

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
  let share = shares[rank];
  if (row >= share.w) { return; }
  for (var d = lane; d < params.width; d += WG) {
    var total = 0.0;
    for (var m = 0u; m < share.y; m += 1u) {
      total += x[members[share.x + m] * params.xStride + (share.z + row) * params.width + d];
    }
    y[rank * params.yStride + row * params.width + d] = total;
  }
}
