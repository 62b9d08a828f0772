// Rotary embedding: each pair (a, b) of a head turns by position * theta^(-2i/Dh):
// (a cos - b sin, b cos + a sin). Pairs are (i, i + Dh/2), or (2i, 2i + 1) when interleaved.
// Grid    a thread per (row, head, pair), spread over y beyond 65,535 workgroups.
// Memory  each element once; cos and sin come from a table made in f64, exact at any position.
// Order   elementwise.
// Edges   Dh even. Rows of x may be wider than the heads (stride), so that q is read out of a joint qkv.

const WG : u32 = 64u;               // spec: threads per workgroup
const INTERLEAVED : bool = false;   // spec: which elements form a pair

struct Params { numRows : u32, numHeads : u32, headDim : u32, xStride : u32, xStart : u32 }

@group(0) @binding(0) var<storage, read> x_TC : array<f32>;          // row t, element xStart + h * Dh + d
@group(0) @binding(1) var<storage, read> table_PI : array<vec2<f32>>; // cos, sin by position and pair
@group(0) @binding(2) var<storage, read> position_T : array<u32>;
@group(0) @binding(3) var<storage, read_write> y_THD : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let half = params.headDim / 2u;
  let index = (group.y * groups.x + group.x) * WG + lane;
  if (index >= params.numRows * params.numHeads * half) { return; }
  let i = index % half;
  let h = (index / half) % params.numHeads;
  let t = index / (half * params.numHeads);
  let turn = table_PI[position_T[t] * half + i];
  let first = select(i, 2u * i, INTERLEAVED);
  let second = select(i + half, 2u * i + 1u, INTERLEAVED);
  let src = t * params.xStride + params.xStart + h * params.headDim;
  let to = (t * params.numHeads + h) * params.headDim;
  let a = x_TC[src + first];
  let b = x_TC[src + second];
  y_THD[to + first] = a * turn.x - b * turn.y;
  y_THD[to + second] = b * turn.x + a * turn.y;
}
