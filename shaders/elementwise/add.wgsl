// y[i] = a[i] + b[i].
// Grid    a thread per element, spread over y beyond 65,535 workgroups.
// Memory  each element once.
// Order   elementwise.
// Edges   any length.

const WG : u32 = 64u;   // spec: threads per workgroup

struct Params { count : u32 }

@group(0) @binding(0) var<storage, read> a : array<f32>;
@group(0) @binding(1) var<storage, read> b : array<f32>;
@group(0) @binding(2) var<storage, read_write> y : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let i = (group.y * groups.x + group.x) * WG + lane;
  if (i < params.count) { y[i] = a[i] + b[i]; }
}
