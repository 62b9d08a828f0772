// c[m,n] = sum over k of a[m,k] * b[n,k].
// Grid    a workgroup covers THREADS_M*REG_M x THREADS_N*REG_N outputs; a thread owns REG_M x REG_N of them.
// Memory  vec4 loads along k straight into registers; no workgroup storage, so no barrier.
// Order   four partial sums (k mod 4), each ascending, added as (0+1)+(2+3): the same bits on every run.
// Edges   K must be a multiple of 4; rows and columns outside are clamped for the loads and never stored.

const THREADS_M : u32 = 4u;     // spec: threads along m
const THREADS_N : u32 = 8u;     // spec: threads along n
const REG_M : u32 = 4u;         // spec: rows per thread
const REG_N : u32 = 4u;         // spec: columns per thread
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

@compute @workgroup_size(THREADS_N, THREADS_M)
fn main(@builtin(global_invocation_id) gid : vec3<u32>) {
  let firstRow = gid.y * REG_M;
  let firstCol = gid.x * REG_N;
  if (firstRow >= params.numRows || firstCol >= params.numCols) { return; }
  let depth4 = params.depth / 4u;
  var rowA : array<u32, REG_M>;
  var rowB : array<u32, REG_N>;
  for (var i = 0u; i < REG_M; i += 1u) { rowA[i] = min(firstRow + i, params.numRows - 1u) * depth4; }
  for (var j = 0u; j < REG_N; j += 1u) { rowB[j] = min(firstCol + j, params.numCols - 1u) * depth4; }
  var sums : array<vec4<f32>, REG_M * REG_N>;
  for (var k = 0u; k < depth4; k += 1u) {
    var b : array<vec4<f32>, REG_N>;
    for (var j = 0u; j < REG_N; j += 1u) { b[j] = weight4(rowB[j] + k); }
    for (var i = 0u; i < REG_M; i += 1u) {
      let a = a_MK[rowA[i] + k];
      for (var j = 0u; j < REG_N; j += 1u) { sums[i * REG_N + j] = fma(a, b[j], sums[i * REG_N + j]); }
    }
  }
  for (var i = 0u; i < REG_M; i += 1u) {
    for (var j = 0u; j < REG_N; j += 1u) {
      if (firstRow + i < params.numRows && firstCol + j < params.numCols) {
        let s = sums[i * REG_N + j];
        c_MN[(firstRow + i) * params.numCols + firstCol + j] = (s.x + s.y) + (s.z + s.w);
      }
    }
  }
}
