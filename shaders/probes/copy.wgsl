// y[i] = x[i] for `count` vec4.
// Grid    workgroup w copies the WG * perLane vec4 from w * WG * perLane on.
// Memory  neighbours read and write neighbours; four loads are in flight before the first store.
// Order   bits are moved, nothing is computed.
// Edges   perLane is a multiple of 4 and count one of WG * perLane; workgroups beyond it have nothing to do.

const WG : u32 = 64u;   // spec: lanes per workgroup

struct Params { count : u32, perLane : u32 }

@group(0) @binding(0) var<storage, read> x : array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> y : array<vec4<u32>>;
@group(1) @binding(0) var<uniform> params : Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid : vec3<u32>,
  @builtin(num_workgroups) grid : vec3<u32>,
  @builtin(local_invocation_id) lid : vec3<u32>,
) {
  var at = (wid.y * grid.x + wid.x) * WG * params.perLane + lid.x;
  if (at >= params.count) { return; }
  for (var i = 0u; i < params.perLane; i += 4u) {
    let x0 = x[at];
    let x1 = x[at + WG];
    let x2 = x[at + 2u * WG];
    let x3 = x[at + 3u * WG];
    y[at] = x0;
    y[at + WG] = x1;
    y[at + 2u * WG] = x2;
    y[at + 3u * WG] = x3;
    at += 4u * WG;
  }
}
