// RMSNorm of queries and keys in a joint projection row [q heads | k heads | v heads], in place, and a clamp of all three.
// Grid    a workgroup per (row, head), spread over y beyond 65,535; a lane owns columns lane, lane + WG, ...
// Memory  each element is read once for its square and once more; one partial sum per lane in workgroup storage.
// Order   columns ascending per lane, then a tree of fixed shape: the same bits on every run.
// Edges   any width. With WIDTH the mean is over all heads of all ranks, and its sum of squares is given.

const WG : u32 = 64u;           // spec: lanes per head, a power of two
const NORM : bool = true;       // spec: queries and keys are normalised
const WIDTH : bool = false;     // spec: over all heads together, else each head by itself
const CLIP : bool = false;      // spec: clamp to +-clip, values too

struct Params {
  numRows : u32, numHeads : u32, numKvHeads : u32, headDim : u32,
  queryWidth : u32,   // of all ranks, with WIDTH
  keyWidth : u32,
  eps : f32, clip : f32,
}

@group(0) @binding(0) var<storage, read_write> qkv_TC : array<f32>;   // C = (H + 2 Hkv) Dh
@group(0) @binding(1) var<storage, read> weight_C : array<f32>;       // [q Dh | k Dh], with WIDTH [H Dh | Hkv Dh]
@group(0) @binding(2) var<storage, read> squares_T2 : array<f32>;     // bound to weight_C without WIDTH
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> partial : array<f32, WG>;

// Told by its bits: a compiler may take any float for a number.
fn isNaN(v : f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

// The clamp of WGSL may drop NaN, which is kept here.
fn clipped(v : f32) -> f32 {
  if (!CLIP || isNaN(v)) { return v; }
  return clamp(v, -params.clip, params.clip);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let turning = params.numHeads + params.numKvHeads;
  let heads = turning + select(0u, params.numKvHeads, CLIP);
  let index = group.y * groups.x + group.x;
  if (index >= params.numRows * heads) { return; }
  let t = index / heads;
  let h = index % heads;
  let isKey = h >= params.numHeads;
  let first = (t * (turning + params.numKvHeads) + h) * params.headDim;
  var squares = 0.0;
  if (!WIDTH) {
    for (var d = lane; d < params.headDim; d += WG) { squares += qkv_TC[first + d] * qkv_TC[first + d]; }
  }
  partial[lane] = squares;
  workgroupBarrier();
  for (var step = WG / 2u; step > 0u; step /= 2u) {
    if (lane < step) { partial[lane] += partial[lane + step]; }
    workgroupBarrier();
  }
  var mean = partial[0] / f32(params.headDim);
  var weights = select(0u, params.headDim, isKey);
  if (WIDTH) {
    mean = squares_T2[2u * t + select(0u, 1u, isKey)] / f32(select(params.queryWidth, params.keyWidth, isKey));
    weights = h * params.headDim;
  }
  let scale = 1.0 / sqrt(mean + params.eps);
  for (var d = lane; d < params.headDim; d += WG) {
    var v = qkv_TC[first + d];
    if (NORM && h < turning) { v = weight_C[weights + d] * (v * scale); }
    qkv_TC[first + d] = clipped(v);
  }
}
