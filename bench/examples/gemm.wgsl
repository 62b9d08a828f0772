// c[m,n] = sum over k of a[m,k] * b[n,k]: the GEMM of the textbooks.
// Grid    a workgroup covers TILE x TILE outputs, a thread owns one.
// Memory  both operands pass through workgroup storage, TILE deep: a value is loaded once per workgroup.
// Order   k ascending in every thread: the same bits on every run.
// Edges   any M, N, K: what lies outside is loaded as zero and never stored.

const TILE : u32 = 16u;

struct Params { numRows : u32, numCols : u32, depth : u32 }

@group(0) @binding(0) var<storage, read> a_MK : array<f32>;
@group(0) @binding(1) var<storage, read> b_NK : array<f32>;
@group(0) @binding(2) var<storage, read_write> c_MN : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> tileA : array<f32, TILE * TILE>;
var<workgroup> tileB : array<f32, TILE * TILE>;

@compute @workgroup_size(TILE, TILE)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_id) local : vec3<u32>) {
  let m = group.y * TILE + local.y;
  let n = group.x * TILE + local.x;
  let rowB = group.x * TILE + local.y;
  let mine = local.y * TILE + local.x;
  var total = 0.0;
  for (var k0 = 0u; k0 < params.depth; k0 += TILE) {
    let k = k0 + local.x;
    tileA[mine] = 0.0;
    tileB[mine] = 0.0;
    if (m < params.numRows && k < params.depth) { tileA[mine] = a_MK[m * params.depth + k]; }
    if (rowB < params.numCols && k < params.depth) { tileB[mine] = b_NK[rowB * params.depth + k]; }
    workgroupBarrier();
    for (var i = 0u; i < TILE; i += 1u) { total += tileA[local.y * TILE + i] * tileB[local.x * TILE + i]; }
    workgroupBarrier();
  }
  if (m < params.numRows && n < params.numCols) { c_MN[m * params.numCols + n] = total; }
}
