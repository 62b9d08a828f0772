// Rotary embedding: each pair (a, b) of a head turns by position * theta^(-2i/Dh):
// (a cos - b sin, b cos + a sin). Pairs are (i, i + Dh/2), or (2i, 2i + 1) when interleaved.
// Grid    a thread per (row, four pairs), which turns them in all heads; spread over y beyond 65,535 workgroups.
// Memory  vec4 loads and stores; a thread reads its angles once for all heads, from a table made in f64.
// Order   elementwise.
// Edges   Dh, and the stride and start of rows of x, are multiples of 8.

const WG : u32 = 8u;                // spec: threads per workgroup
const INTERLEAVED : bool = false;   // spec: which elements form a pair

struct Params { numRows : u32, numHeads : u32, headDim : u32, xStride : u32, xStart : u32 }

@group(0) @binding(0) var<storage, read> x_TC : array<vec4<f32>>;     // row t, element xStart + h * Dh + d
@group(0) @binding(1) var<storage, read> table_PI : array<vec4<f32>>; // cos, sin, cos, sin by position and two pairs
@group(0) @binding(2) var<storage, read> position_T : array<u32>;
@group(0) @binding(3) var<storage, read_write> y_THD : array<vec4<f32>>;
@group(1) @binding(0) var<uniform> params : Params;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let eighths = params.headDim / 8u;
  let vecs = params.headDim / 4u;
  let index = (group.y * groups.x + group.x) * WG + lane;
  if (index >= params.numRows * eighths) { return; }
  let i = index % eighths;
  let t = index / eighths;
  let at = (position_T[t] * eighths + i) * 2u;
  let low = table_PI[at];
  let high = table_PI[at + 1u];
  let cos4 = vec4<f32>(low.x, low.z, high.x, high.z);
  let sin4 = vec4<f32>(low.y, low.w, high.y, high.w);
  let first = select(i, 2u * i, INTERLEAVED);
  let second = select(i + eighths, 2u * i + 1u, INTERLEAVED);
  let src = (t * params.xStride + params.xStart) / 4u;
  let to = t * params.numHeads * vecs;
  for (var h = 0u; h < params.numHeads * vecs; h += vecs) {
    let u = x_TC[src + h + first];
    let v = x_TC[src + h + second];
    if (INTERLEAVED) {
      let a = vec4<f32>(u.x, u.z, v.x, v.z);
      let b = vec4<f32>(u.y, u.w, v.y, v.w);
      let turnedA = a * cos4 - b * sin4;
      let turnedB = b * cos4 + a * sin4;
      y_THD[to + h + first] = vec4<f32>(turnedA.x, turnedB.x, turnedA.y, turnedB.y);
      y_THD[to + h + second] = vec4<f32>(turnedA.z, turnedB.z, turnedA.w, turnedB.w);
    } else {
      y_THD[to + h + first] = u * cos4 - v * sin4;
      y_THD[to + h + second] = v * cos4 + u * sin4;
    }
  }
}
