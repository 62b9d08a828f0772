// c[m,n] = sum over k of a[m,k] * b[n,k].
// Grid    a workgroup covers WG_M x WG_N outputs; a thread owns one.
// Memory  scalar loads straight from storage; no workgroup storage, so no barrier.
// Order   k = 0 .. K-1 in every thread: the same bits on every run.
// Edges   any M, N, K; threads outside of c leave at once.

const WG_M : u32 = 8u;          // spec: rows per workgroup
const WG_N : u32 = 8u;          // spec: columns per workgroup
const B_F16 : bool = false;     // spec: b holds packed f16 instead of f32

struct Params { numRows : u32, numCols : u32, depth : u32 }

@group(0) @binding(0) var<storage, read> a_MK : array<f32>;
@group(0) @binding(1) var<storage, read> b_NK : array<u32>;   // f32 bits, or two f16 per word
@group(0) @binding(2) var<storage, read_write> c_MN : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

fn weight(index : u32) -> f32 {
  if (B_F16) { return unpack2x16float(b_NK[index >> 1u])[index & 1u]; }
  return bitcast<f32>(b_NK[index]);
}

@compute @workgroup_size(WG_N, WG_M)
fn main(@builtin(global_invocation_id) gid : vec3<u32>) {
  let n = gid.x;
  let m = gid.y;
  if (m >= params.numRows || n >= params.numCols) { return; }
  let rowA = m * params.depth;
  let rowB = n * params.depth;
  var total = 0.0;
  for (var k = 0u; k < params.depth; k += 1u) {
    total += a_MK[rowA + k] * weight(rowB + k);
  }
  c_MN[m * params.numCols + n] = total;
}
