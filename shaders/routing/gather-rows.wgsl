// y[r] = x[index[r]]: the permutation of tokens to experts, the embedding, and the choice of last tokens.
// Grid    a workgroup per row, spread over y beyond 65,535; a lane owns columns lane, lane + WG, ...
// Memory  reads and writes each element once.
// Order   data movement: exact.
// Edges   any width. x holds rows firstRow, ... of the source. Indices are bounded by numSource: one outside writes NaN, so
//         that no check can pass, but for a later part of a source.

const WG : u32 = 64u;           // spec: lanes per row
const X_F16 : bool = false;     // spec: x holds packed f16 instead of f32
const X_BF16 : bool = false;    // spec: x holds packed bf16, the upper halves of f32
const PART : bool = false;      // spec: x is one of several parts of the source: rows of the others stay as they are

struct Params { numRows : u32, width : u32, numSource : u32, nanBits : u32, firstRow : u32 }

@group(0) @binding(0) var<storage, read> x_SD : array<u32>;      // f32 bits, or two f16 or bf16 per word
@group(0) @binding(1) var<storage, read> index_R : array<u32>;
@group(0) @binding(2) var<storage, read_write> y_RD : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

fn element(index : u32) -> f32 {
  if (X_F16) { return unpack2x16float(x_SD[index >> 1u])[index & 1u]; }
  if (X_BF16) { return bitcast<f32>((x_SD[index >> 1u] >> (16u * (index & 1u))) << 16u); }
  return bitcast<f32>(x_SD[index]);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let r = group.y * groups.x + group.x;
  if (r >= params.numRows) { return; }
  let source = index_R[r] - params.firstRow;
  if (PART && source >= params.numSource) { return; }
  for (var d = lane; d < params.width; d += WG) {
    var value = bitcast<f32>(params.nanBits);
    if (source < params.numSource) { value = element(source * params.width + d); }
    y_RD[r * params.width + d] = value;
  }
}
