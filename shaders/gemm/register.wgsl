// c[m,n] = sum over k of a[m,k] * b[n,k].
// Grid    a workgroup covers 4 THREADS_M x 4 THREADS_N outputs; a thread owns 4 x 4 of them.
// Memory  vec4 loads along k straight into registers; no workgroup storage, so no barrier.
// Order   k ascending by fours, each four as ((0+1)+2)+3: the same bits on every run.
// Edges   K must be a multiple of 4; rows and columns outside are clamped for the loads and never stored.
// The tile is written out by hand: an array indexed in a loop lives in memory on drivers that do not unroll.

const THREADS_M : u32 = 4u;     // spec: threads along m
const THREADS_N : u32 = 8u;     // spec: threads along n
const B_F16 : bool = false;     // spec: b holds packed f16 instead of f32

struct Params { numRows : u32, numCols : u32, depth : u32 }

@group(0) @binding(0) var<storage, read> a_MK : array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b_NK : array<vec4<u32>>;   // four f32, or eight f16
@group(0) @binding(2) var<storage, read_write> c_MN : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

// Four weights from the index of their group of four.
fn weight4(index : u32) -> vec4<f32> {
  if (B_F16) {
    let words = b_NK[index >> 1u];
    let pair = select(words.xy, words.zw, (index & 1u) == 1u);
    return vec4<f32>(unpack2x16float(pair.x), unpack2x16float(pair.y));
  }
  return bitcast<vec4<f32>>(b_NK[index]);
}

// Products of one row of a with four rows of b, summed over a group of four along k.
fn products(a : vec4<f32>, b0 : vec4<f32>, b1 : vec4<f32>, b2 : vec4<f32>, b3 : vec4<f32>) -> vec4<f32> {
  return vec4<f32>(
    a.x * b0.x + a.y * b0.y + a.z * b0.z + a.w * b0.w,
    a.x * b1.x + a.y * b1.y + a.z * b1.z + a.w * b1.w,
    a.x * b2.x + a.y * b2.y + a.z * b2.z + a.w * b2.w,
    a.x * b3.x + a.y * b3.y + a.z * b3.z + a.w * b3.w);
}

fn store(row : u32, col : u32, sums : vec4<f32>) {
  if (row >= params.numRows) { return; }
  let at = row * params.numCols + col;
  c_MN[at] = sums.x;
  if (col + 1u < params.numCols) { c_MN[at + 1u] = sums.y; }
  if (col + 2u < params.numCols) { c_MN[at + 2u] = sums.z; }
  if (col + 3u < params.numCols) { c_MN[at + 3u] = sums.w; }
}

@compute @workgroup_size(THREADS_N, THREADS_M)
fn main(@builtin(global_invocation_id) gid : vec3<u32>) {
  let m = gid.y * 4u;
  let n = gid.x * 4u;
  if (m >= params.numRows || n >= params.numCols) { return; }
  let depth4 = params.depth / 4u;
  let rowA = min(vec4<u32>(m, m + 1u, m + 2u, m + 3u), vec4<u32>(params.numRows - 1u)) * depth4;
  let rowB = min(vec4<u32>(n, n + 1u, n + 2u, n + 3u), vec4<u32>(params.numCols - 1u)) * depth4;
  var sums0 = vec4<f32>();
  var sums1 = vec4<f32>();
  var sums2 = vec4<f32>();
  var sums3 = vec4<f32>();
  for (var k = 0u; k < depth4; k += 1u) {
    let b0 = weight4(rowB.x + k);
    let b1 = weight4(rowB.y + k);
    let b2 = weight4(rowB.z + k);
    let b3 = weight4(rowB.w + k);
    sums0 += products(a_MK[rowA.x + k], b0, b1, b2, b3);
    sums1 += products(a_MK[rowA.y + k], b0, b1, b2, b3);
    sums2 += products(a_MK[rowA.z + k], b0, b1, b2, b3);
    sums3 += products(a_MK[rowA.w + k], b0, b1, b2, b3);
  }
  store(m, n, sums0);
  store(m + 1u, n, sums1);
  store(m + 2u, n, sums2);
  store(m + 3u, n, sums3);
}
