// The down projection of few tokens, joined at once: choice c = t K + k, with its hidden row h[c], adds to its token
// y[t,n] = residual[t,n] + sum over k of scores[c] * (w2[ids[c],n] . h[c] + bias[ids[c],n]).
// Grid    x: columns by 4 WG, y: tokens; a lane owns 4 columns.
// Memory  vec4 loads along k; each lane loads weights for its own columns, and 8 vec4 of h are loaded once per subgroup,
//         each by one lane, and shared by shuffles. No workgroup storage, so no barrier and no sum over lanes.
// Order   choices in the order of k, the depth ascending in every lane: the same bits on every run, whatever the subgroup size.
// Edges   K is a multiple of a chunk: 4 values for f32, 8 f16, 16 int8, 32 int4 and MXFP4. Columns outside are clamped
//         for the loads and never stored; no lane leaves early, since all take part in shuffles.

enable subgroups;

const WG : u32 = 32u;           // spec: lanes per workgroup, a multiple of LANES
const LANES : u32 = 8u;         // spec: lanes that share vec4s of h: 8, or 4 that hold two each
const FORMAT : u32 = 0u;        // spec: of the weights: 0 f32, 1 f16, 2 int8, 3 int4, 4 MXFP4
const GROUPS : u32 = 1u;        // spec: groups of four values in a vec4<u32> of weights: 1, 2, 4, 8, 8
const BIASED : bool = false;    // spec: add the bias
const RESIDUAL : bool = false;  // spec: add the residual

struct Params { depth : u32, numCols : u32, scaleStart : u32, topK : u32, numTokens : u32 }

@group(0) @binding(0) var<storage, read> h_RK : array<vec4<f32>>;        // [T K, F]
@group(0) @binding(1) var<storage, read> ids_TK : array<u32>;
@group(0) @binding(2) var<storage, read> scores_TK : array<f32>;
@group(0) @binding(3) var<storage, read> w2_ENK : array<vec4<u32>>;      // values, then from word scaleStart on the scales
@group(0) @binding(4) var<storage, read> bias_EN : array<f32>;
@group(0) @binding(5) var<storage, read> residual_TN : array<f32>;
@group(0) @binding(6) var<storage, read_write> y_TN : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

// What one vec4<u32> of weights is multiplied with: 4 values of x for f32, 8 for f16, 16 for int8, 32 for nibbles.
struct Chunk {
  x0 : vec4<f32>, x1 : vec4<f32>, x2 : vec4<f32>, x3 : vec4<f32>,
  x4 : vec4<f32>, x5 : vec4<f32>, x6 : vec4<f32>, x7 : vec4<f32>,
}

// 8 vec4 of h from group `first` on, shared by the lanes; beyond the row's end they are zero.
struct Held { low : vec4<f32>, high : vec4<f32> }

fn hold(row : u32, first : u32, groupsOfRow : u32, lane : u32) -> Held {
  let own = first + lane % LANES;
  var held : Held;
  held.low = select(vec4<f32>(), h_RK[row * groupsOfRow + min(own, groupsOfRow - 1u)], own < groupsOfRow);
  if (LANES == 4u) {
    let next = own + 4u;
    held.high = select(vec4<f32>(), h_RK[row * groupsOfRow + min(next, groupsOfRow - 1u)], next < groupsOfRow);
  }
  return held;
}

// The i-th of them.
fn heldAt(held : Held, i : u32) -> vec4<f32> {
  if (LANES == 8u) { return subgroupShuffle(held.low, i); }
  let low = subgroupShuffle(held.low, i % 4u);
  let high = subgroupShuffle(held.high, i % 4u);
  return select(low, high, i >= 4u);
}

// What one vec4<u32> of weights is multiplied with: GROUPS vec4 of those held, from the i-th on.
fn chunkOf(held : Held, i : u32) -> Chunk {
  var c : Chunk;
  c.x0 = heldAt(held, i);
  if (GROUPS > 1u) { c.x1 = heldAt(held, i + 1u); }
  if (GROUPS > 2u) {
    c.x2 = heldAt(held, i + 2u);
    c.x3 = heldAt(held, i + 3u);
  }
  if (GROUPS > 4u) {
    c.x4 = heldAt(held, i + 4u);
    c.x5 = heldAt(held, i + 5u);
    c.x6 = heldAt(held, i + 6u);
    c.x7 = heldAt(held, i + 7u);
  }
  return c;
}

// Four values in nibbles, not yet scaled.
fn nibbles4(bits : u32) -> vec4<f32> {
  let nibbles = (vec4<u32>(bits) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
  if (FORMAT == 3u) { return vec4<f32>(nibbles) - 8.0; }
  // Magnitudes of e2m1 in halves, 0 1 2 3 4 6 8 12, are the nibbles of a constant.
  let halves = vec4<f32>((vec4<u32>(0xc8643210u) >> ((nibbles & vec4<u32>(7u)) * 4u)) & vec4<u32>(15u));
  return 0.5 * select(halves, -halves, nibbles >= vec4<u32>(8u));
}

fn halves4(low : u32, high : u32) -> vec4<f32> { return vec4<f32>(unpack2x16float(low), unpack2x16float(high)); }
fn bytes4(word : u32) -> vec4<f32> { return vec4<f32>(unpack4xI8(word)); }

// The products of a chunk, summed, with weights that are not yet scaled.
fn chunkDot(c : Chunk, w : vec4<u32>) -> f32 {
  if (FORMAT == 0u) { return dot(c.x0, bitcast<vec4<f32>>(w)); }
  if (FORMAT == 1u) { return dot(c.x0, halves4(w.x, w.y)) + dot(c.x1, halves4(w.z, w.w)); }
  if (FORMAT == 2u) {
    return (dot(c.x0, bytes4(w.x)) + dot(c.x1, bytes4(w.y))) + (dot(c.x2, bytes4(w.z)) + dot(c.x3, bytes4(w.w)));
  }
  return ((dot(c.x0, nibbles4(w.x)) + dot(c.x1, nibbles4(w.x >> 16u)))
        + (dot(c.x2, nibbles4(w.y)) + dot(c.x3, nibbles4(w.y >> 16u))))
       + ((dot(c.x4, nibbles4(w.z)) + dot(c.x5, nibbles4(w.z >> 16u)))
        + (dot(c.x6, nibbles4(w.w)) + dot(c.x7, nibbles4(w.w >> 16u))));
}

// The same for chunk `c` of row `row`, with the scale of its block.
fn rowDot(x : Chunk, row : u32, c : u32, chunks : u32) -> f32 {
  let at = row * chunks + c;
  let sum = chunkDot(x, w2_ENK[at]);
  if (FORMAT < 3u) { return sum; }
  return sum * scale(at);
}

fn scale(index : u32) -> f32 {
  let at = params.scaleStart + index;
  return bitcast<f32>(w2_ENK[at >> 2u][at & 3u]);
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid : vec3<u32>,
        @builtin(workgroup_id) group : vec3<u32>,
        @builtin(subgroup_invocation_id) lane : u32) {
  let t = group.y;
  let n = gid.x * 4u;
  let own = min(vec4<u32>(n, n + 1u, n + 2u, n + 3u), vec4<u32>(params.numCols - 1u));
  let groupsOfRow = params.depth / 4u;
  let chunks = groupsOfRow / GROUPS;
  var totals = vec4<f32>();
  for (var choice = t * params.topK; choice < (t + 1u) * params.topK; choice += 1u) {
    let rowW = vec4<u32>(ids_TK[choice] * params.numCols) + own;
    var sums = vec4<f32>();
    for (var first = 0u; first < groupsOfRow; first += 8u) {
      let held = hold(choice, first, groupsOfRow, lane);
      let end = min(first + 8u, groupsOfRow);
      for (var k = first; k < end; k += GROUPS) {
        let x = chunkOf(held, k - first);
        let c = k / GROUPS;
        sums += vec4<f32>(rowDot(x, rowW.x, c, chunks), rowDot(x, rowW.y, c, chunks),
                          rowDot(x, rowW.z, c, chunks), rowDot(x, rowW.w, c, chunks));
      }
    }
    if (FORMAT == 2u) { sums *= vec4<f32>(scale(rowW.x), scale(rowW.y), scale(rowW.z), scale(rowW.w)); }
    if (BIASED) { sums += vec4<f32>(bias_EN[rowW.x], bias_EN[rowW.y], bias_EN[rowW.z], bias_EN[rowW.w]); }
    totals += scores_TK[choice] * sums;
  }
  for (var j = 0u; j < min(4u, max(n, params.numCols) - n); j += 1u) {
    let at = t * params.numCols + n + j;
    var total = totals[j];
    if (RESIDUAL) { total += residual_TN[at]; }
    y_TN[at] = total;
  }
}
