// sum[t] = x[t] + residual[t]; y[t,d] = weight[d] * sum[t,d] / sqrt(mean over d of sum[t,d]^2 + eps).
// Grid    a workgroup per row, spread over y beyond 65,535; a lane owns columns lane, lane + WG, ...
// Memory  two passes over the row; one partial sum per lane in workgroup storage.
// Order   columns ascending per lane, then a tree of fixed shape: the same bits on every run.
// Edges   any width. The residual may start at another row of a taller array (residualRow). Rows whose squares leave f32
//         are summed again, scaled, by every lane.

const WG : u32 = 64u;               // spec: lanes per row, a power of two
const RESIDUAL : bool = false;      // spec: add the residual and store the sum

struct Params { numRows : u32, width : u32, residualRow : u32, eps : f32 }

@group(0) @binding(0) var<storage, read> x_TD : array<f32>;
@group(0) @binding(1) var<storage, read> residual_TD : array<f32>;   // bound to x when absent
@group(0) @binding(2) var<storage, read> weight_D : array<f32>;
@group(0) @binding(3) var<storage, read_write> y_TD : array<f32>;
@group(0) @binding(4) var<storage, read_write> sum_TD : array<f32>;  // one element when there is no residual
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> partial : array<f32, WG>;

fn summed(t : u32, d : u32) -> f32 {
  let v = x_TD[t * params.width + d];
  if (RESIDUAL) { return v + residual_TD[(t + params.residualRow) * params.width + d]; }
  return v;
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

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let t = group.y * groups.x + group.x;
  if (t >= params.numRows) { return; }
  var squares = 0.0;
  for (var d = lane; d < params.width; d += WG) {
    let v = summed(t, d);
    squares += v * v;
    if (RESIDUAL) { sum_TD[t * params.width + d] = v; }
  }
  partial[lane] = squares;
  workgroupBarrier();
  for (var step = WG / 2u; step > 0u; step /= 2u) {
    if (lane < step) { partial[lane] += partial[lane + step]; }
    workgroupBarrier();
  }
  var total = partial[0] / f32(params.width) + params.eps;
  let range = rangeOf(total);
  if (range.inSum != 1.0) {
    var again = 0.0;
    for (var d = 0u; d < params.width; d += 1u) {
      let v = summed(t, d) * range.inSum;
      again += v * v;
    }
    total = again / f32(params.width) + params.eps * range.inSum * range.inSum;
  }
  let scale = 1.0 / sqrt(total) * range.after;
  for (var d = lane; d < params.width; d += WG) {
    y_TD[t * params.width + d] = weight_D[d] * (summed(t, d) * range.before * scale);
  }
}
