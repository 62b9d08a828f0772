// c[m,n] = sum over k of a[m,k] * b[n,k], for few rows.
// Grid    x: columns by WG, y: rows; a thread owns one output.
// Memory  vec4 loads along k straight into registers; no workgroup storage, so no barrier.
// Order   four partial sums (k mod 4), each ascending, added as (0+1)+(2+3): the same bits on every run.
// Edges   K must be a multiple of 4.

const WG : u32 = 32u;           // spec: columns per workgroup
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

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid : vec3<u32>) {
  let n = gid.x;
  if (n >= params.numCols) { return; }
  let depth4 = params.depth / 4u;
  let rowA = gid.y * depth4;
  let rowB = n * depth4;
  var sums = vec4<f32>();
  for (var k = 0u; k < depth4; k += 1u) { sums += a_MK[rowA + k] * weight4(rowB + k); }
  c_MN[gid.y * params.numCols + n] = (sums.x + sums.y) + (sums.z + sums.w);
}
