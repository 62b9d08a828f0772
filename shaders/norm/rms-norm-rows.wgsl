// sum[t] = x[t] + residual[t]; y[t,d] = weight[d] * sum[t,d] / sqrt(mean over d of sum[t,d]^2 + eps).
// Grid    a workgroup per 4 rows, spread over y beyond 65,535; a lane owns groups of four columns of all of them.
// Memory  vec4 loads, each weight once per 4 rows; with a residual the second pass reads the sum back.
// Order   columns ascending per lane and component, then lanes in a tree of fixed shape: the same bits on every run.
// Edges   the width is a multiple of 4; rows past the last repeat it. The residual may start at another row. Rows whose
//         squares leave f32 are summed again, scaled, by every lane.

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

fn summed4(row : u32, d : u32) -> vec4<f32> {
  let vecs = params.width / 4u;
  var v = x_TD[row * vecs + d];
  if (RESIDUAL) { v += residual_TD[(row + params.residualRow) * vecs + d]; }
  return v;
}

fn squareOf(v : vec4<f32>) -> f32 { return v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w; }

// Adds the residual, keeps the sum, and gives the four squares added up.
fn square(row : u32, d : u32) -> f32 {
  let v = summed4(row, d);
  if (RESIDUAL) { sum_TD[row * (params.width / 4u) + d] = v; }
  return squareOf(v);
}

fn storeScaled(row : u32, d : u32, weight : vec4<f32>, n : Norm) {
  let at = row * (params.width / 4u) + d;
  if (RESIDUAL) { y_TD[at] = weight * (sum_TD[at] * n.before * n.scale); }
  else { y_TD[at] = weight * (x_TD[at] * n.before * n.scale); }
}

// Of squares that leave f32 a power of two is taken out: of the elements in their sum, and then in the result in two
// parts, since either may leave f32 by itself.
struct Range { inSum : f32, before : f32, after : f32 }

// `total` is the mean of squares and eps. Below 2^-100 squares may be lost; else it is fine, or beyond f32, or NaN.
fn rangeOf(total : f32) -> Range {
  if (total < 0x1p-100f) { return Range(0x1p88f, 0x1p88f, 1.0); }
  if ((bitcast<u32>(total) & 0x7f800000u) == 0x7f800000u) { return Range(0x1p-80f, 0x1p-4f, 0x1p-76f); }
  return Range(1.0, 1.0, 1.0);
}

// What the elements of a row are multiplied with, one after the other.
struct Norm { before : f32, scale : f32 }

fn normOf(row : u32, squares : f32) -> Norm {
  var total = squares / f32(params.width) + params.eps;
  let range = rangeOf(total);
  if (range.inSum != 1.0) {
    var again = 0.0;
    for (var d = 0u; d < params.width / 4u; d += 1u) { again += squareOf(summed4(row, d) * range.inSum); }
    total = again / f32(params.width) + params.eps * range.inSum * range.inSum;
  }
  return Norm(range.before, 1.0 / sqrt(total) * range.after);
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
  let squaresOfRows = partial[0];
  let n0 = normOf(rows.x, squaresOfRows.x);
  let n1 = normOf(rows.y, squaresOfRows.y);
  let n2 = normOf(rows.z, squaresOfRows.z);
  let n3 = normOf(rows.w, squaresOfRows.w);
  for (var d = lane; d < vecs; d += WG) {
    let weight = weight_D[d];
    storeScaled(rows.x, d, weight, n0);
    storeScaled(rows.y, d, weight, n1);
    storeScaled(rows.z, d, weight, n2);
    storeScaled(rows.w, d, weight, n3);
  }
}
