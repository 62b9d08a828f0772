// y[lane] = sum of `loads` vec4 of workgroup memory, beginning at the lane's own and going round.
// Grid    as many workgroups as keep the adapter busy.
// Memory  SLOTS vec4 of workgroup memory, filled once; neighbours read neighbours; four loads in flight.
// Order   four partial sums of small whole numbers, added as (0+1)+(2+3): every order is exact.
// Edges   loads is a multiple of 4; SLOTS is a power of two and a multiple of WG.

const WG : u32 = 64u;      // spec: lanes per workgroup
const SLOTS : u32 = 256u;  // spec: vec4 of workgroup memory

struct Params { lanes : u32, loads : u32 }

@group(0) @binding(0) var<storage, read_write> y : array<vec4<f32>>;   // one per lane
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> slots : array<vec4<f32>, SLOTS>;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid : vec3<u32>, @builtin(local_invocation_id) lid : vec3<u32>) {
  for (var i = lid.x; i < SLOTS; i += WG) { slots[i] = vec4<f32>(0.0, 1.0, 2.0, 3.0) + f32(i & 7u); }
  workgroupBarrier();
  var at = lid.x;
  var s0 = vec4<f32>();
  var s1 = vec4<f32>();
  var s2 = vec4<f32>();
  var s3 = vec4<f32>();
  for (var i = 0u; i < params.loads; i += 4u) {
    let x0 = slots[at % SLOTS];
    let x1 = slots[(at + 1u) % SLOTS];
    let x2 = slots[(at + 2u) % SLOTS];
    let x3 = slots[(at + 3u) % SLOTS];
    s0 += x0;
    s1 += x1;
    s2 += x2;
    s3 += x3;
    at += 4u;
  }
  if (gid.x >= params.lanes) { return; }
  y[gid.x] = (s0 + s1) + (s2 + s3);
}
