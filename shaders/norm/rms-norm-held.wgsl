// sum[t] = x[t] + residual[t]; y[t,d] = weight[d] * sum[t,d] / sqrt(mean over d of sum[t,d]^2 + eps).
// Grid    a workgroup per row, spread over y beyond 65,535; a lane owns vec4 lane, lane + WG, ... of the row.
// Memory  one round trip: all of a lane's x, residual and weight are loaded at once and stay in registers. Sums of lanes
//         meet in two steps of SIDE through workgroup storage.
// Order   a lane's columns ascending, SIDE lanes that are SIDE apart, then their sums: the same bits on every run.
// Edges   the width is a multiple of 4 and at most 4 WG VECS. Squares are summed three times, as they are and scaled each
//         way, so that rows whose squares leave f32 need no other pass.

const WG : u32 = 64u;               // spec: lanes per row, a square
const SIDE : u32 = 8u;              // spec: its root
const VECS : u32 = 1u;              // spec: vec4 of a lane
const RESIDUAL : bool = false;      // spec: add the residual and store the sum

struct Params { numRows : u32, width : u32, residualRow : u32, eps : f32 }

@group(0) @binding(0) var<storage, read> x_TD : array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> residual_TD : array<vec4<f32>>;   // bound to x when absent
@group(0) @binding(2) var<storage, read> weight_D : array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y_TD : array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> sum_TD : array<vec4<f32>>;  // one element when there is no residual
@group(1) @binding(0) var<uniform> params : Params;

// Sums of squares: as they are, of what is far below 1, and of what is far above.
var<workgroup> ofLane : array<vec3<f32>, WG>;
var<workgroup> ofSide : array<vec3<f32>, SIDE>;

const SMALL : f32 = 0x1p88f;
const LARGE : f32 = 0x1p-80f;

// What a value is multiplied with before the scale of its row, and the row's scale.
struct Scale { before : f32, row : f32 }

// Below 2^-100 squares may be lost; else they are fine, or beyond f32, or NaN. Of either end a power of two is taken out, of
// the result in two parts, since either may leave f32 by itself.
fn scaleOfRow(sums : vec3<f32>) -> Scale {
  let width = f32(params.width);
  let total = sums.x / width + params.eps;
  let isSmall = total < 0x1p-100f;
  let isLarge = (bitcast<u32>(total) & 0x7f800000u) == 0x7f800000u;
  if (!isSmall && !isLarge) { return Scale(1.0, 1.0 / sqrt(total)); }
  // Chosen while it runs: a compiler may square a constant first, and 0 times Inf is NaN.
  let inSum = select(LARGE, SMALL, isSmall);
  let mean = select(sums.z, sums.y, isSmall) / width + params.eps * inSum * inSum;
  let scale = 1.0 / sqrt(mean);
  return Scale(select(0x1p-4f, SMALL, isSmall), scale * select(0x1p-76f, 1.0, isSmall));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let t = group.y * groups.x + group.x;
  if (t >= params.numRows) { return; }
  let vecs = params.width / 4u;
  let row = t * vecs;
  let residualRow = (t + params.residualRow) * vecs;
  var held : array<vec4<f32>, VECS>;
  var weights : array<vec4<f32>, VECS>;
  for (var i = 0u; i < VECS; i += 1u) {
    let d = min(lane + i * WG, vecs - 1u);
    held[i] = x_TD[row + d];
    if (RESIDUAL) { held[i] += residual_TD[residualRow + d]; }
    weights[i] = weight_D[d];
  }
  var squares = vec3<f32>();
  for (var i = 0u; i < VECS; i += 1u) {
    let v = select(vec4<f32>(), held[i], lane + i * WG < vecs);
    let small = v * SMALL;
    let large = v * LARGE;
    squares += vec3<f32>(dot(v, v), dot(small, small), dot(large, large));
    if (RESIDUAL && lane + i * WG < vecs) { sum_TD[row + lane + i * WG] = held[i]; }
  }
  ofLane[lane] = squares;
  workgroupBarrier();
  if (lane < SIDE) {
    var sums = vec3<f32>();
    for (var i = 0u; i < SIDE; i += 1u) { sums += ofLane[i * SIDE + lane]; }
    ofSide[lane] = sums;
  }
  workgroupBarrier();
  var sums = vec3<f32>();
  for (var i = 0u; i < SIDE; i += 1u) { sums += ofSide[i]; }
  let scale = scaleOfRow(sums);
  for (var i = 0u; i < VECS; i += 1u) {
    if (lane + i * WG < vecs) { y_TD[row + lane + i * WG] = weights[i] * (held[i] * scale.before * scale.row); }
  }
}
