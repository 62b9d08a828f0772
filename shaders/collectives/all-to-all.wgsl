// y[r, j, i] = x[member j of r's group, r's own index in the group, i].
// x and y are symmetric arrays: one part of equal size per rank of the stage.
// Grid    x: words by WG, y: ranks, z: members of the largest group, each of as many slabs as x does not hold.
// Memory  reads and writes each word once.
// Order   data movement: exact, whatever the words mean.
// Edges   groups may be smaller than the largest.

const WG : u32 = 64u;   // spec: threads per workgroup

struct Params { count : u32, numRanks : u32, groupSize : u32, xStride : u32, yStride : u32 }   // words of one part

@group(0) @binding(0) var<storage, read> x : array<u32>;              // per rank: [group size, count]
@group(0) @binding(1) var<storage, read> members : array<u32>;
@group(0) @binding(2) var<storage, read> groups : array<vec4<u32>>;   // of a rank: first member, group size, own index, -
@group(0) @binding(3) var<storage, read_write> y : array<u32>;        // per rank: [group size, count]
@group(1) @binding(0) var<uniform> params : Params;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) size : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let slabs = size.z / params.groupSize;
  let i = ((group.z % slabs) * size.x + group.x) * WG + lane;
  let peerIndex = group.z / slabs;
  let own = groups[group.y];
  if (i >= params.count || peerIndex >= own.y) { return; }
  let peer = members[own.x + peerIndex];
  y[group.y * params.yStride + peerIndex * params.count + i] =
    x[peer * params.xStride + own.z * params.count + i];
}
