// c[m,n] = sum over k of a[m,k] * b[n,k].
// Grid    x: columns by 4 WG, y: rows by 8; a lane owns 8 rows of 4 columns.
// Memory  each lane loads rows of b for its own columns; the 8 rows of a are loaded once per subgroup, a row per
//         lane, and broadcast. No workgroup storage, so no barrier.
// Order   k ascending by fours, each four as ((0+1)+2)+3: the same bits on every run, whatever the subgroup size.
// Edges   K must be a multiple of 4; rows and columns outside are clamped for the loads and never stored.
//         Subgroups have at least 8 / HELD lanes; no lane leaves early, since all take part in broadcasts.

enable subgroups;

const WG : u32 = 32u;           // spec: lanes per workgroup, a multiple of 8
const HELD : u32 = 1u;          // spec: rows of a that a lane holds: 1, or 2 for subgroups of 4 lanes
const B_F16 : bool = false;     // spec: b holds packed f16 instead of f32

const LANES : u32 = 8u / HELD;

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

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid : vec3<u32>,
        @builtin(workgroup_id) group : vec3<u32>,
        @builtin(subgroup_invocation_id) lane : u32) {
  let m = group.y * 8u;
  let n = gid.x * 4u;
  let depth4 = params.depth / 4u;
  let held0 = min(m + lane % LANES, params.numRows - 1u) * depth4;
  let held1 = min(m + LANES + lane % LANES, params.numRows - 1u) * depth4;
  let rowB = min(vec4<u32>(n, n + 1u, n + 2u, n + 3u), vec4<u32>(params.numCols - 1u)) * depth4;
  var sums0 = vec4<f32>();
  var sums1 = vec4<f32>();
  var sums2 = vec4<f32>();
  var sums3 = vec4<f32>();
  var sums4 = vec4<f32>();
  var sums5 = vec4<f32>();
  var sums6 = vec4<f32>();
  var sums7 = vec4<f32>();
  for (var k = 0u; k < depth4; k += 1u) {
    let a0 = a_MK[held0 + k];
    var a1 = a0;
    if (HELD == 2u) { a1 = a_MK[held1 + k]; }
    let b0 = weight4(rowB.x + k);
    let b1 = weight4(rowB.y + k);
    let b2 = weight4(rowB.z + k);
    let b3 = weight4(rowB.w + k);
    sums0 += products(subgroupBroadcast(a0, 0u), b0, b1, b2, b3);
    sums1 += products(subgroupBroadcast(a0, 1u), b0, b1, b2, b3);
    sums2 += products(subgroupBroadcast(a0, 2u), b0, b1, b2, b3);
    sums3 += products(subgroupBroadcast(a0, 3u), b0, b1, b2, b3);
    if (HELD == 2u) {
      sums4 += products(subgroupBroadcast(a1, 0u), b0, b1, b2, b3);
      sums5 += products(subgroupBroadcast(a1, 1u), b0, b1, b2, b3);
      sums6 += products(subgroupBroadcast(a1, 2u), b0, b1, b2, b3);
      sums7 += products(subgroupBroadcast(a1, 3u), b0, b1, b2, b3);
    } else {
      sums4 += products(subgroupBroadcast(a0, 4u), b0, b1, b2, b3);
      sums5 += products(subgroupBroadcast(a0, 5u), b0, b1, b2, b3);
      sums6 += products(subgroupBroadcast(a0, 6u), b0, b1, b2, b3);
      sums7 += products(subgroupBroadcast(a0, 7u), b0, b1, b2, b3);
    }
  }
  if (n >= params.numCols) { return; }
  store(m, n, sums0);
  store(m + 1u, n, sums1);
  store(m + 2u, n, sums2);
  store(m + 3u, n, sums3);
  store(m + 4u, n, sums4);
  store(m + 5u, n, sums5);
  store(m + 6u, n, sums6);
  store(m + 7u, n, sums7);
}
