// y[lane] = four chains of `rounds` broadcasts, and the lane's place in its subgroup.
// Grid    as many workgroups as keep the adapter busy.
// Memory  registers only; two stores at the end.
// Order   s becomes s of lane k of the subgroup, plus the own place, plus 1; k = 0, 1, 2, 3 is the chain.
// Edges   a subgroup has at least 4 lanes; WG is a multiple of its size, so none is cut.

enable subgroups;

const WG : u32 = 64u;   // spec: lanes per workgroup

struct Params { lanes : u32, rounds : u32 }

@group(0) @binding(0) var<storage, read_write> y : array<vec4<u32>>;       // one per lane
@group(0) @binding(1) var<storage, read_write> place : array<u32>;         // one per lane
@group(1) @binding(0) var<uniform> params : Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(global_invocation_id) gid : vec3<u32>,
  @builtin(subgroup_invocation_id) own : u32,
) {
  let add = own + 1u;
  var s0 = own;
  var s1 = own;
  var s2 = own;
  var s3 = own;
  for (var i = 0u; i < params.rounds; i += 1u) {
    s0 = subgroupBroadcast(s0, 0u) + add;
    s1 = subgroupBroadcast(s1, 1u) + add;
    s2 = subgroupBroadcast(s2, 2u) + add;
    s3 = subgroupBroadcast(s3, 3u) + add;
  }
  if (gid.x >= params.lanes) { return; }
  y[gid.x] = vec4<u32>(s0, s1, s2, s3);
  place[gid.x] = own;
}
