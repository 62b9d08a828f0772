// h[t,f] = act(u[t,f]) u[t,F+f], the middle of a plain unit; with SCALED times the sigmoid of u[t,2F].
// Grid    a thread per element of h, spread over y beyond 65,535 workgroups.
// Memory  each element of u once, the last of a row by all its threads.
// Order   elementwise.
// Edges   any sizes.

const WG : u32 = 64u;           // spec: threads per workgroup
const ACT : u32 = 1u;           // spec: 0 identity, 1 silu, 2 gelu (tanh), 3 relu
const SCALED : bool = false;    // spec: rows of u have one element more, the logit of the whole unit

struct Params { numRows : u32, width : u32 }

@group(0) @binding(0) var<storage, read> u_TC : array<f32>;          // C = 2F, or 2F + 1 with SCALED
@group(0) @binding(1) var<storage, read_write> h_TF : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

// 1 / (1 + e^-v).
fn sigmoid(v : f32) -> f32 { return 1.0 / (1.0 + exp(-v)); }

// silu(v) w. Below -87 the sigmoid is e^v, which underflows although the product may not: half of it at a time.
fn siluTimes(v : f32, w : f32) -> f32 {
  let half = exp(0.5 * v);
  return select(v * sigmoid(v) * w, v * half * w * half, v < -87.0);
}

// Told by its bits: a compiler may take any float for a number.
fn isNaN(v : f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

// max that keeps NaN, which WGSL's may drop.
fn atLeast(v : f32, least : f32) -> f32 { return select(max(v, least), v, isNaN(v)); }

// The tanh form. It saturates long before its argument overflows exp. A NaN that clamp drops comes back by the factor v.
fn gelu(v : f32) -> f32 {
  return 0.5 * v * (1.0 + tanh(clamp(0.7978845608028654 * (v + 0.044715 * v * v * v), -20.0, 20.0)));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let index = (group.y * groups.x + group.x) * WG + lane;
  if (index >= params.numRows * params.width) { return; }
  let t = index / params.width;
  let f = index % params.width;
  let row = t * (2u * params.width + select(0u, 1u, SCALED));
  let gate = u_TC[row + f];
  let up = u_TC[row + params.width + f];
  var h = gate * up;
  if (ACT == 1u) { h = siluTimes(gate, up); }
  if (ACT == 2u) { h = gelu(gate) * up; }
  if (ACT == 3u) { h = atLeast(gate, 0.0) * up; }
  if (SCALED) { h *= sigmoid(u_TC[row + 2u * params.width]); }
  h_TF[index] = h;
}
