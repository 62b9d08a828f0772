// y[r, i] = sum over the members m of r's group of x[m, i].
// x and y are symmetric arrays: one part of `count` elements per rank of the stage.
// Grid    x, and z beyond 65,535: elements by WG, y: ranks.
// Memory  reads one element per member, writes one; no workgroup storage, so no barrier.
// Order   members in the order of the group's list: the same bits on every run and on every rank.
// Edges   any count and group size.

const WG : u32 = 64u;   // spec: threads per workgroup

struct Params { count : u32, numRanks : u32, xStride : u32, yStride : u32 }   // elements of one part

@group(0) @binding(0) var<storage, read> x : array<f32>;              // per rank: [count]
@group(0) @binding(1) var<storage, read> members : array<u32>;
@group(0) @binding(2) var<storage, read> groups : array<vec4<u32>>;   // of a rank: first member, group size, own index, -
@group(0) @binding(3) var<storage, read_write> y : array<f32>;        // per rank: [count]
@group(1) @binding(0) var<uniform> params : Params;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) size : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let i = (group.z * size.x + group.x) * WG + lane;
  if (i >= params.count) { return; }
  let own = groups[group.y];
  var total = 0.0;
  for (var m = 0u; m < own.y; m += 1u) { total += x[members[own.x + m] * params.xStride + i]; }
  y[group.y * params.yStride + i] = total;
}
