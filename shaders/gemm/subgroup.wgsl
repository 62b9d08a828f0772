// c[m,n] = sum over k of a[m,k] * b[n,k], plus bias[n] where there is one.
// Grid    x: columns by 4 WG, y: rows by ROWS; a lane owns ROWS rows of 4 columns.
// Memory  each lane loads rows of b for its own columns; rows of a are loaded once per subgroup, each by one lane, and
//         shared by shuffles. No workgroup storage, so no barrier.
// Order   k ascending in every lane: the same bits on every run, whatever the subgroup size.
// Edges   K is a multiple of 4; rows and columns outside are clamped for the loads and never stored.
//         Subgroups have at least LANES lanes; no lane leaves early, since all take part in shuffles.

enable subgroups;
requires unrestricted_pointer_parameters;

const WG : u32 = 32u;           // spec: lanes per workgroup, a multiple of LANES
const LANES : u32 = 8u;         // spec: lanes that share eight rows: 8, or 4 that hold two rows each
const ROWS : u32 = 32u;         // spec: rows per workgroup: 8, 16, 24 or 32
const FORMAT : u32 = 0u;        // spec: of b: 0 f32, 1 f16, 2 int8, 3 int4, 4 MXFP4, 5 the same by way of f16
const BF16 : bool = false;      // spec: what format 1 holds is bf16
const WIDE : bool = false;      // spec: products with a whole scale may leave f32: half of it at a time
const BIASED : bool = false;    // spec: add a bias per column
alias Pack = vec4<u32>;         // spec: one load of b: vec4<u32> for f32, u32 otherwise
const STEP : u32 = 1u;          // spec: groups of four per round: 2 for nibbles with 8 rows, where the loop stays short

struct Params { numRows : u32, numCols : u32, depth : u32, scaleStart : u32, blockGroups : u32 }

@group(0) @binding(0) var<storage, read> a_MK : array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b_NK : array<Pack>;   // values, then from word scaleStart on the scales
@group(0) @binding(2) var<storage, read_write> c_MN : array<f32>;
@group(0) @binding(3) var<storage, read> bias_N : array<f32>;   // bound to a when absent
@group(1) @binding(0) var<uniform> params : Params;

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

// What products with the lane's four rows of weights still lack of their scales.
var<private> factors : vec4<f32>;

// Four scales; with WIDE the rest of each is left to its factor.
fn halved(scales : vec4<f32>) -> vec4<f32> {
  if (!WIDE) { return scales; }
  let x = halvesOf(scales.x);
  let y = halvesOf(scales.y);
  let z = halvesOf(scales.z);
  let w = halvesOf(scales.w);
  factors = vec4<f32>(x.y, y.y, z.y, w.y);
  return vec4<f32>(x.x, y.x, z.x, w.x);
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

// Word `index` of the weights.
fn word(weights : ptr<storage, array<Pack>, read>, index : u32) -> u32 { return vec4<u32>((*weights)[index]).x; }

// Words by their number, of the lane's first two and last two rows of weights.
fn words4(low : ptr<storage, array<Pack>, read>, high : ptr<storage, array<Pack>, read>, index : vec4<u32>) -> vec4<u32> {
  return vec4<u32>(word(low, index.x), word(low, index.y), word(high, index.z), word(high, index.w));
}

// Scales by their number, of the lane's first two and last two rows of weights.
fn scales4(low : ptr<storage, array<Pack>, read>, high : ptr<storage, array<Pack>, read>, index : vec4<u32>) -> vec4<f32> {
  let at = index + vec4<u32>(params.scaleStart);
  return bitcast<vec4<f32>>(words4(low, high, at));
}

// Two values of 16 bits: f16, or bf16, which is the upper half of an f32.
fn halves2(word : u32) -> vec2<f32> {
  if (BF16) { return bitcast<vec2<f32>>(vec2<u32>(word << 16u, word & 0xffff0000u)); }
  return unpack2x16float(word);
}

// Four weights from the index of their group of four. int4 and MXFP4 come scaled; int8 is scaled at the end.
fn weight4(weights : ptr<storage, array<Pack>, read>, index : u32, scale : f32) -> vec4<f32> {
  if (FORMAT == 0u) { return bitcast<vec4<f32>>(vec4<u32>((*weights)[index])); }
  if (FORMAT == 1u) {
    return vec4<f32>(halves2(word(weights, 2u * index)), halves2(word(weights, 2u * index + 1u)));
  }
  if (FORMAT == 2u) {
    let bytes = vec4<f32>(unpack4xI8(word(weights, index)));
    if (WIDE) { return bytes * scale; }
    return bytes;
  }
  return nibbles4(word(weights, index >> 1u) >> ((index & 1u) * 16u)) * scale;
}

// A group of four along k of the lane's first two and last two rows of weights. Column i is k = i.
fn weights4(low : ptr<storage, array<Pack>, read>, high : ptr<storage, array<Pack>, read>, rows : vec4<u32>, k : u32,
            scales : vec4<f32>) -> mat4x4<f32> {
  return transpose(mat4x4<f32>(weight4(low, rows.x + k, scales.x), weight4(low, rows.y + k, scales.y),
                               weight4(high, rows.z + k, scales.z), weight4(high, rows.w + k, scales.w)));
}

// The lower groups of four of four words of nibbles. Column i is k = i.
fn nibbles16(words : vec4<u32>, scales : vec4<f32>) -> mat4x4<f32> {
  return transpose(mat4x4<f32>(nibbles4(words.x) * scales.x, nibbles4(words.y) * scales.y,
                               nibbles4(words.z) * scales.z, nibbles4(words.w) * scales.w));
}

// Sums of eight rows, a column per row.
struct Eight { low : mat4x4<f32>, high : mat4x4<f32> }

// Four along k of the rows of x that a lane holds of eight: one, or one of 0 to 3 and one of 4 to 7 where four lanes share.
struct Held { low : vec4<f32>, high : vec4<f32> }

// One row's four sums, and a group of four along k more. Column i of w4 is k = i.
fn row(sums : vec4<f32>, x : vec4<f32>, w4 : mat4x4<f32>) -> vec4<f32> {
  if (WIDE) {
    return fma(x.wwww * factors, w4[3], fma(x.zzzz * factors, w4[2],
           fma(x.yyyy * factors, w4[1], fma(x.xxxx * factors, w4[0], sums))));
  }
  return fma(x.wwww, w4[3], fma(x.zzzz, w4[2], fma(x.yyyy, w4[1], fma(x.xxxx, w4[0], sums))));
}

// Eight rows' sums, and a group of four along k more. llvmpipe shuffles eight lanes by a literal faster than it broadcasts one,
// and four lanes in a loop; SwiftShader broadcasts faster.
fn eight(sums : Eight, x : Held, w4 : mat4x4<f32>) -> Eight {
  var next : Eight;
  if (LANES == 4u) {
    next.low = mat4x4<f32>(
      row(sums.low[0], subgroupBroadcast(x.low, 0u), w4), row(sums.low[1], subgroupBroadcast(x.low, 1u), w4),
      row(sums.low[2], subgroupBroadcast(x.low, 2u), w4), row(sums.low[3], subgroupBroadcast(x.low, 3u), w4));
    next.high = mat4x4<f32>(
      row(sums.high[0], subgroupBroadcast(x.high, 0u), w4), row(sums.high[1], subgroupBroadcast(x.high, 1u), w4),
      row(sums.high[2], subgroupBroadcast(x.high, 2u), w4), row(sums.high[3], subgroupBroadcast(x.high, 3u), w4));
  } else {
    next.low = mat4x4<f32>(
      row(sums.low[0], subgroupShuffle(x.low, 0u), w4), row(sums.low[1], subgroupShuffle(x.low, 1u), w4),
      row(sums.low[2], subgroupShuffle(x.low, 2u), w4), row(sums.low[3], subgroupShuffle(x.low, 3u), w4));
    next.high = mat4x4<f32>(
      row(sums.high[0], subgroupShuffle(x.low, 4u), w4), row(sums.high[1], subgroupShuffle(x.low, 5u), w4),
      row(sums.high[2], subgroupShuffle(x.low, 6u), w4), row(sums.high[3], subgroupShuffle(x.low, 7u), w4));
  }
  return next;
}

// The group of four at k of the rows that the lane holds.
fn heldGroup(x : ptr<storage, array<vec4<f32>>, read>, rows : vec2<u32>, k : u32) -> Held {
  let low = (*x)[rows.x + k];
  var high = low;
  if (LANES == 4u) { high = (*x)[rows.y + k]; }
  return Held(low, high);
}

// Offsets of the rows of a that this lane holds of the eight from `first` on.
fn heldRows(first : u32, lane : u32) -> vec2<u32> {
  let low = first + lane % LANES;
  return min(vec2<u32>(low, low + 4u * u32(LANES == 4u)), vec2<u32>(params.numRows - 1u)) * (params.depth / 4u);
}

fn storeColumns(row : u32, col : u32, products : vec4<f32>) {
  let at = row * params.numCols + col;
  var sums = products;
  if (BIASED) {
    let last = params.numCols - 1u;
    sums += vec4<f32>(bias_N[min(col, last)], bias_N[min(col + 1u, last)], bias_N[min(col + 2u, last)], bias_N[min(col + 3u, last)]);
  }
  if (col < params.numCols) { c_MN[at] = sums.x; }
  if (col + 1u < params.numCols) { c_MN[at + 1u] = sums.y; }
  if (col + 2u < params.numCols) { c_MN[at + 2u] = sums.z; }
  if (col + 3u < params.numCols) { c_MN[at + 3u] = sums.w; }
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid : vec3<u32>,
        @builtin(workgroup_id) group : vec3<u32>,
        @builtin(subgroup_invocation_id) lane : u32) {
  let m = group.y * ROWS;
  let n = gid.x * 4u;
  let depth4 = params.depth / 4u;
  let cols = min(vec4<u32>(n, n + 1u, n + 2u, n + 3u), vec4<u32>(params.numCols - 1u));
  let rowB = cols * depth4;
  let rows0 = heldRows(m, lane);
  let rows1 = heldRows(m + 8u, lane);
  let rows2 = heldRows(m + 16u, lane);
  let rows3 = heldRows(m + 24u, lane);
  var sums0 : Eight;
  var sums1 : Eight;
  var sums2 : Eight;
  var sums3 : Eight;
  var scales = vec4<f32>(1.0);
  if (FORMAT == 2u) { scales = halved(scales4(&b_NK, &b_NK, cols)); }
  for (var first = 0u; first < depth4; first += params.blockGroups) {
    if (FORMAT > 2u) { scales = halved(scales4(&b_NK, &b_NK, (rowB + first) / 8u)); }
    for (var k = first; k < first + params.blockGroups; k += STEP) {
      if (STEP == 2u) {
        let words = words4(&b_NK, &b_NK, (rowB + k) / 2u);
        let a0 = heldGroup(&a_MK, rows0, k);
        let a1 = heldGroup(&a_MK, rows0, k + 1u);
        sums0 = eight(sums0, a0, nibbles16(words, scales));
        sums0 = eight(sums0, a1, nibbles16(words >> vec4<u32>(16u), scales));
        continue;
      }
      let b4 = weights4(&b_NK, &b_NK, rowB, k, scales);
      // All loads before all products: llvmpipe branches at each, puts products behind the last, and what they share into memory.
      let a0 = heldGroup(&a_MK, rows0, k);
      var a1 : Held;
      var a2 : Held;
      var a3 : Held;
      if (ROWS > 8u) { a1 = heldGroup(&a_MK, rows1, k); }
      if (ROWS > 16u) { a2 = heldGroup(&a_MK, rows2, k); }
      if (ROWS > 24u) { a3 = heldGroup(&a_MK, rows3, k); }
      sums0 = eight(sums0, a0, b4);
      if (ROWS > 8u) { sums1 = eight(sums1, a1, b4); }
      if (ROWS > 16u) { sums2 = eight(sums2, a2, b4); }
      if (ROWS > 24u) { sums3 = eight(sums3, a3, b4); }
    }
  }
  if (FORMAT > 2u || WIDE) { scales = vec4<f32>(1.0); }
  // A loop over an array, small to compile, since it runs once.
  var results = array<Eight, 4>(sums0, sums1, sums2, sums3);
  for (var i = 0u; i < min(ROWS, params.numRows - m); i += 1u) {
    if ((i & 4u) == 0u) { storeColumns(m + i, n, results[i / 8u].low[i & 3u] * scales); }
    else { storeColumns(m + i, n, results[i / 8u].high[i & 3u] * scales); }
  }
}
