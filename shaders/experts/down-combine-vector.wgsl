// The down projection of few tokens, joined at once: choice c = t K + k, with its hidden row h[c], adds to its token
// y[t,n] = residual[t,n] + sum over k of scores[c] * (w2[ids[c],n] . h[c] + bias[ids[c],n]).
// Grid    x: columns by 4 WG, y: tokens; LANES lanes own 4 LANES columns and share each: a lane has every LANES-th chunk.
// Memory  vec4 loads: lanes side by side read a row of weights side by side. A panel of h stays in registers for all
//         columns. No workgroup storage, so no barrier: sums of lanes meet by shuffles.
// Order   choices in the order of k, panels ascending; in a panel chunks per lane, then lanes in a tree of fixed shape:
//         the same bits always.
// Edges   K is a multiple of a chunk: 4 values for f32, 8 f16, 16 int8, 32 int4 and MXFP4. Nothing beyond a row's end adds;
//         columns outside are clamped for the loads and never stored; all lanes take part in shuffles.

enable subgroups;
requires unrestricted_pointer_parameters;

const WG : u32 = 32u;           // spec: lanes per workgroup, a multiple of LANES
const LANES : u32 = 8u;         // spec: lanes that share a column: 4 or 8
const LOADS : u32 = 4u;         // spec: chunks of a panel per lane: 2 or 4, so that the loop stays short
const WHOLE : bool = false;     // spec: rows end where panels do, so that nothing lies beyond their end
const FORMAT : u32 = 0u;        // spec: of the weights: 0 f32, 1 f16, 2 int8, 3 int4, 4 MXFP4, 5 the same by way of f16
const BF16 : bool = false;      // spec: what format 1 holds is bf16
const WIDE : bool = false;      // spec: products with a whole scale may leave f32: half of it at a time
const GROUPS : u32 = 1u;        // spec: groups of four values in a vec4<u32> of weights: 1, 2, 4, 8, 8
const BIASED : bool = false;    // spec: add the bias
const RESIDUAL : bool = false;  // spec: add the residual
const NO_SLOT : u32 = 0xffffffffu;   // of a choice without an expert, which adds nothing

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

// Chunks of x that a lane holds: its own of a panel, LANES apart.
struct Panel { c0 : Chunk, c1 : Chunk, c2 : Chunk, c3 : Chunk }

// Group `i` of row `row` of x; beyond the row's end its last, of which no product is taken.
fn group4(x : ptr<storage, array<vec4<f32>>, read>, row : u32, i : u32) -> vec4<f32> {
  let groups = params.depth / 4u;
  return (*x)[row * groups + min(i, groups - 1u)];
}

// Chunk `chunk` of row `row` of x; beyond the row's end its last group, of which no product is taken.
fn chunkOf(x : ptr<storage, array<vec4<f32>>, read>, row : u32, chunk : u32) -> Chunk {
  let i = chunk * GROUPS;
  var c : Chunk;
  c.x0 = group4(x, row, i);
  if (GROUPS > 1u) { c.x1 = group4(x, row, i + 1u); }
  if (GROUPS > 2u) {
    c.x2 = group4(x, row, i + 2u);
    c.x3 = group4(x, row, i + 3u);
  }
  if (GROUPS > 4u) {
    c.x4 = group4(x, row, i + 4u);
    c.x5 = group4(x, row, i + 5u);
    c.x6 = group4(x, row, i + 6u);
    c.x7 = group4(x, row, i + 7u);
  }
  return c;
}

// The chunks of row `row` of x from `own` on, LANES apart.
fn hold(x : ptr<storage, array<vec4<f32>>, read>, row : u32, own : u32) -> Panel {
  var p : Panel;
  p.c0 = chunkOf(x, row, own);
  p.c1 = chunkOf(x, row, own + LANES);
  if (LOADS > 2u) {
    p.c2 = chunkOf(x, row, own + 2u * LANES);
    p.c3 = chunkOf(x, row, own + 3u * LANES);
  }
  return p;
}

// A scale as the product of two factors between it and 1, the second a power of two, for scales at the ends of f32. One
// below its normal numbers is a whole number of the least.
fn halvesOf(scale : f32) -> vec2<f32> {
  let bits = bitcast<u32>(scale);
  let exponent = i32((bits >> 23u) & 255u);
  if (exponent == 0) {
    let steps = f32(bits & 0x7fffffu) * 0x1p-75f;
    return vec2<f32>(select(steps, -steps, (bits >> 31u) == 1u), 0x1p-74f);
  }
  let half = (exponent - 127) / 2;
  return vec2<f32>(bitcast<f32>(bits - (bitcast<u32>(half) << 23u)), bitcast<f32>(u32(127 + half) << 23u));
}

// A chunk times a scale.
fn scaledBy(c : Chunk, scale : f32) -> Chunk {
  let f = halvesOf(scale);
  return Chunk(c.x0 * f.y * f.x, c.x1 * f.y * f.x, c.x2 * f.y * f.x, c.x3 * f.y * f.x,
               c.x4 * f.y * f.x, c.x5 * f.y * f.x, c.x6 * f.y * f.x, c.x7 * f.y * f.x);
}

// Two values of e2m1 times 2^-14, which f16 holds in the same bits, 0.5 below its normal numbers: one in each half of a word, the
// sign at bit 15, the rest from bit 9 on.
fn smallPair(signs : u32, others : u32) -> vec2<f32> {
  return unpack2x16float((signs & 0x80008000u) | (others & 0x0e000e00u));
}

// Four values of e2m1 times 2^-14.
fn small4(bits : u32) -> vec4<f32> {
  let upper = bits << 16u;
  let spread = upper | (upper >> 12u);
  return vec4<f32>(smallPair(spread << 8u, spread << 5u), smallPair(spread, spread >> 3u));
}

// Four values in nibbles, not yet scaled.
fn nibbles4(bits : u32) -> vec4<f32> {
  if (FORMAT == 5u) { return small4(bits) * 0x1p14f; }
  let nibbles = (vec4<u32>(bits) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
  if (FORMAT == 3u) { return vec4<f32>(nibbles) - 8.0; }
  // Magnitudes of e2m1 in halves, 0 1 2 3 4 6 8 12, are the nibbles of a constant.
  let halves = vec4<f32>((vec4<u32>(0xc8643210u) >> ((nibbles & vec4<u32>(7u)) * 4u)) & vec4<u32>(15u));
  return 0.5 * select(halves, -halves, nibbles >= vec4<u32>(8u));
}

// Eight values in the nibbles of a word, not yet scaled.
fn nibbles8(word : u32) -> mat2x4<f32> {
  if (FORMAT != 5u) { return mat2x4<f32>(nibbles4(word), nibbles4(word >> 16u)); }
  let a = smallPair(word << 12u, word << 9u);
  let b = smallPair(word << 8u, word << 5u);
  let c = smallPair(word << 4u, word << 1u);
  let d = smallPair(word, word >> 3u);
  return mat2x4<f32>(vec4<f32>(a.x, b.x, c.x, d.x) * 0x1p14f, vec4<f32>(a.y, b.y, c.y, d.y) * 0x1p14f);
}

// Two values of 16 bits: f16, or bf16, which is the upper half of an f32.
fn halves2(word : u32) -> vec2<f32> {
  if (BF16) { return bitcast<vec2<f32>>(vec2<u32>(word << 16u, word & 0xffff0000u)); }
  return unpack2x16float(word);
}

// Four values of 16 bits.
fn halves4(low : u32, high : u32) -> vec4<f32> { return vec4<f32>(halves2(low), halves2(high)); }

// Four signed bytes.
fn bytes4(word : u32) -> vec4<f32> { return vec4<f32>(unpack4xI8(word)); }

// The products of a chunk, summed, with weights that are not yet scaled.
fn chunkDot(c : Chunk, w : vec4<u32>) -> f32 {
  if (FORMAT == 0u) { return dot(c.x0, bitcast<vec4<f32>>(w)); }
  if (FORMAT == 1u) { return dot(c.x0, halves4(w.x, w.y)) + dot(c.x1, halves4(w.z, w.w)); }
  if (FORMAT == 2u) {
    return (dot(c.x0, bytes4(w.x)) + dot(c.x1, bytes4(w.y))) + (dot(c.x2, bytes4(w.z)) + dot(c.x3, bytes4(w.w)));
  }
  let v0 = nibbles8(w.x);
  let v1 = nibbles8(w.y);
  let v2 = nibbles8(w.z);
  let v3 = nibbles8(w.w);
  return ((dot(c.x0, v0[0]) + dot(c.x1, v0[1])) + (dot(c.x2, v1[0]) + dot(c.x3, v1[1])))
       + ((dot(c.x4, v2[0]) + dot(c.x5, v2[1])) + (dot(c.x6, v3[0]) + dot(c.x7, v3[1])));
}

// Scale `index` of all.
fn scale(weights : ptr<storage, array<vec4<u32>>, read>, index : u32) -> f32 {
  let at = params.scaleStart + index;
  return bitcast<f32>((*weights)[at >> 2u][at & 3u]);
}

// Chunk `chunk` of row `row` of the weights times x, with the scale of its block; zero beyond the row's end.
fn rowDot(weights : ptr<storage, array<vec4<u32>>, read>, x : Chunk, row : u32, chunk : u32) -> f32 {
  let chunks = params.depth / (4u * GROUPS);
  let held = WHOLE || chunk < chunks;
  let at = row * chunks + select(chunks - 1u, chunk, held);
  if (WIDE) {
    let wide = chunkDot(scaledBy(x, scale(weights, select(at, row, FORMAT == 2u))), (*weights)[at]);
    return select(0.0, wide, held);
  }
  let sum = chunkDot(x, (*weights)[at]);
  var scaled = sum;
  if (FORMAT > 2u) { scaled = sum * scale(weights, at); }
  return select(0.0, scaled, held);
}

// A panel times what lies at the same place of row `row` of the weights.
fn panelDot(weights : ptr<storage, array<vec4<u32>>, read>, p : Panel, row : u32, own : u32) -> f32 {
  let sum = rowDot(weights, p.c0, row, own) + rowDot(weights, p.c1, row, own + LANES);
  if (LOADS == 2u) { return sum; }
  return sum + (rowDot(weights, p.c2, row, own + 2u * LANES) + rowDot(weights, p.c3, row, own + 3u * LANES));
}

// The sum over LANES lanes, in all of them.
fn total(own : f32) -> f32 {
  var sum = own;
  if (LANES == 8u) { sum += subgroupShuffleXor(sum, 4u); }
  sum += subgroupShuffleXor(sum, 2u);
  return sum + subgroupShuffleXor(sum, 1u);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(local_invocation_index) local : u32,
        @builtin(subgroup_invocation_id) place : u32) {
  let t = group.y;
  let lane = place % LANES;
  let n = (group.x * WG + local - lane) * 4u;
  let chunks = params.depth / (4u * GROUPS);
  // Columns n + lane, n + LANES + lane, ...
  let slots = vec4<u32>(lane) + vec4<u32>(0u, LANES, 2u * LANES, 3u * LANES);
  let cols = min(vec4<u32>(n) + slots, vec4<u32>(params.numCols - 1u));
  var totals = vec4<f32>();
  for (var choice = t * params.topK; choice < (t + 1u) * params.topK; choice += 1u) {
    if (ids_TK[choice] == NO_SLOT) { continue; }
    let firstRow = ids_TK[choice] * params.numCols;
    var sums = vec4<f32>();
    for (var first = 0u; first < chunks; first += LANES * LOADS) {
      let own = first + lane;
      let h = hold(&h_RK, choice, own);
      for (var j = 0u; j < 4u * LANES; j += 1u) {
        let sum = panelDot(&w2_ENK, h, firstRow + min(n + j, params.numCols - 1u), own);
        sums += select(vec4<f32>(), vec4<f32>(total(sum)), slots == vec4<u32>(j));
      }
    }
    let rowW = vec4<u32>(firstRow) + cols;
    if (FORMAT == 2u && !WIDE) {
      sums *= vec4<f32>(scale(&w2_ENK, rowW.x), scale(&w2_ENK, rowW.y), scale(&w2_ENK, rowW.z), scale(&w2_ENK, rowW.w));
    }
    if (BIASED) { sums += vec4<f32>(bias_EN[rowW.x], bias_EN[rowW.y], bias_EN[rowW.z], bias_EN[rowW.w]); }
    totals += scores_TK[choice] * sums;
  }
  for (var j = 0u; j < 4u; j += 1u) {
    let col = n + slots[j];
    if (col >= params.numCols) { break; }
    let at = t * params.numCols + col;
    var value = totals[j];
    if (RESIDUAL) { value += residual_TN[at]; }
    y_TN[at] = value;
  }
}
