// sum[t] = x[t] + residual[t]; y[t,d] = weight[d] * sum[t,d] / sqrt(mean over d of sum[t,d]^2 + eps).
// Grid    a workgroup per 4 rows, spread over y beyond 65,535; a lane owns groups of four columns of all of them.
// Memory  vec4 loads, each weight once per 4 rows; with a residual the second pass reads the sum back.
// Order   columns ascending per lane and component, then lanes in a tree of fixed shape: the same bits on every run.
// Edges   the width is a multiple of 4; rows past the last repeat it. The residual may start at another row.

const WG : u32 = 8u;                // spec: lanes, a power of two
const RESIDUAL : bool = false;      // spec: add the residual and store the sum

struct Params { numRows : u32, width : u32, residualRow : u32, eps : f32 }

@group(0) @binding(0) var<storage, read> x_TD : array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> residual_TD : array<vec4<f32>>;   // bound to x when absent
@group(0) @binding(2) var<storage, read> weight_D : array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y_TD : array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> sum_TD : array<vec4<f32>>;  // any buffer when there is no residual
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> partial : array<vec4<f32>, WG>;   // a row per component

// Adds the residual, keeps the sum, and gives the four squares added up.
fn square(row : u32, d : u32) -> f32 {
  let vecs = params.width / 4u;
  var v = x_TD[row * vecs + d];
  if (RESIDUAL) {
    v += residual_TD[(row + params.residualRow) * vecs + d];
    sum_TD[row * vecs + d] = v;
  }
  return v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
}

fn store(row : u32, d : u32, weight : vec4<f32>, scale : f32) {
  let at = row * (params.width / 4u) + d;
  if (RESIDUAL) { y_TD[at] = weight * (sum_TD[at] * scale); } else { y_TD[at] = weight * (x_TD[at] * scale); }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let t = 4u * (group.y * groups.x + group.x);
  if (t >= params.numRows) { return; }
  let rows = min(vec4<u32>(t, t + 1u, t + 2u, t + 3u), vec4<u32>(params.numRows - 1u));
  let vecs = params.width / 4u;
  var squares = vec4<f32>();
  for (var d = lane; d < vecs; d += WG) {
    squares += vec4<f32>(square(rows.x, d), square(rows.y, d), square(rows.z, d), square(rows.w, d));
  }
  partial[lane] = squares;
  workgroupBarrier();
  for (var step = WG / 2u; step > 0u; step /= 2u) {
    if (lane < step) { partial[lane] += partial[lane + step]; }
    workgroupBarrier();
  }
  let scale = 1.0 / sqrt(partial[0] / f32(params.width) + params.eps);
  for (var d = lane; d < vecs; d += WG) {
    let weight = weight_D[d];
    store(rows.x, d, weight, scale.x);
    store(rows.y, d, weight, scale.y);
    store(rows.z, d, weight, scale.z);
    store(rows.w, d, weight, scale.w);
  }
}
