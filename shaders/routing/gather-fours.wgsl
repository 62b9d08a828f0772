// y[r] = x[index[r]], four columns a lane: the permutation of tokens to experts, the embedding, the choice of last tokens.
// Grid    x: blocks of 4 WG columns, y and z: rows, spread over z beyond 65,535.
// Memory  reads and writes each element once, lanes side by side.
// Order   data movement: exact.
// Edges   the width is a multiple of 4. x holds rows firstRow, ... of the source. Indices are bounded by numSource: one outside
//         writes NaN, so that no check can pass, but for a later part of a source.

const WG : u32 = 64u;           // spec: lanes
const X_F16 : bool = false;     // spec: x holds packed f16 instead of f32
alias Four = vec4<u32>;         // spec: four values of x: vec4<u32> in f32, vec2<u32> with X_F16
const LAST : u32 = 3u;          // spec: last word of Four
const PART : bool = false;      // spec: x is one of several parts of the source: rows of the others stay as they are

struct Params { numRows : u32, width : u32, numSource : u32, nanBits : u32, firstRow : u32 }

@group(0) @binding(0) var<storage, read> x_SD : array<Four>;
@group(0) @binding(1) var<storage, read> index_R : array<u32>;
@group(0) @binding(2) var<storage, read_write> y_RD : array<vec4<f32>>;
@group(1) @binding(0) var<uniform> params : Params;

fn widened(w : Four) -> vec4<f32> {
  if (X_F16) { return vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y)); }
  return bitcast<vec4<f32>>(vec4<u32>(w.x, w.y, w[LAST - 1u], w[LAST]));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let r = group.z * groups.y + group.y;
  let vecs = params.width / 4u;
  let d = group.x * WG + lane;
  if (r >= params.numRows || d >= vecs) { return; }
  let source = index_R[r] - params.firstRow;
  if (PART && source >= params.numSource) { return; }
  var value = vec4<f32>(bitcast<f32>(params.nanBits));
  if (source < params.numSource) { value = widened(x_SD[source * vecs + d]); }
  y_RD[r * vecs + d] = value;
}
