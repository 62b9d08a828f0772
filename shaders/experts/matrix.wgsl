// Grouped GEMM with the epilogue of an expert by matrix units: for each row r of expert e,
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n]) * (w3[e,n] . x[r] + bias[e,N+n])   (gated)
// y[r,n] = act(w1[e,n] . x[r] + bias[e,n])                                     (not gated).
// Grid    x: columns by TILE_N, half of it when gated; y: tiles of TILE_M rows. A subgroup owns REG_M x REG_N matrices.
// Memory  as gemm/matrix.wgsl: rows of both operands as halves in workgroup storage, second halves by PARTS. Gated, the
//         first half of the rows of a tile of weights is of w1, the other of w3.
// Order   k ascending, a matrix at a time, in whose order the adapter adds: the same bits on every run.
// Edges   the width is a multiple of 4. Rows that are no ordinary ones are found after the first turn and computed anew
//         with a power of two of their own. Rows and columns outside are clamped for the loads and never stored; beyond the
//         width is zero. An unused tile has no rows.

enable f16;
enable subgroups;
enable subgroup_size_control;
enable chromium_experimental_subgroup_matrix;
requires unrestricted_pointer_parameters;

const LANES : u32 = 8u;         // spec: of a subgroup
const SUBGROUPS_M : u32 = 2u;   // spec: subgroups along m
const SUBGROUPS_N : u32 = 2u;   // spec: subgroups along n
const REG_M : u32 = 2u;         // spec: matrices of a subgroup along m
const REG_N : u32 = 2u;         // spec: and along n
const DIM_M : u32 = 8u;         // spec: rows of a matrix of sums
const DIM_N : u32 = 8u;         // spec: its columns; a multiple of 4
const DIM_K : u32 = 8u;         // spec: terms of one product; a multiple of 8
const TILE_K : u32 = 32u;       // spec: depth of one tile; a multiple of DIM_K
const PARTS : u32 = 2u;         // spec: products: 1 of rounded operands, 2 with x in two halves, 3 with w too
const FORMAT : u32 = 0u;        // spec: of the weights: 0 f32, 1 f16, 2 int8, 3 int4, 4 MXFP4, 5 the same by way of f16
const BF16 : bool = false;      // spec: what format 1 holds is bf16
const GATED : bool = true;      // spec: multiply by the up projection w3
const BIASED : bool = false;    // spec: add the bias
const GATHER : bool = false;    // spec: row r of the tiles is row rowSource[r] of x
const ACT : u32 = 1u;           // spec: 0 identity, 1 silu, 2 gelu (tanh), 3 relu, 4 clamped SwiGLU
alias Pack = vec4<u32>;         // spec: one load of weights: vec4<u32> for f32, u32 otherwise

alias Left = subgroup_matrix_left<f16, DIM_K, DIM_M>;
alias Right = subgroup_matrix_right<f16, DIM_N, DIM_K>;
alias Result = subgroup_matrix_result<f32, DIM_N, DIM_M>;

const THREADS : u32 = LANES * SUBGROUPS_M * SUBGROUPS_N;
const TILE_M : u32 = SUBGROUPS_M * REG_M * DIM_M;
const TILE_N : u32 = SUBGROUPS_N * REG_N * DIM_N;
const UNITS : u32 = TILE_K / 8u;        // vec4 of a row of a tile
const STRIDE : u32 = UNITS + 1u;        // padded against bank conflicts
const ROWS : u32 = THREADS / UNITS;     // of a tile that are fetched in a turn
const UP : u32 = select(TILE_N, TILE_N / 2u, GATED);   // from where on rows of a tile are of w3
const TURNS_M : u32 = TILE_M * UNITS / THREADS;
const TURNS_N : u32 = TILE_N * UNITS / THREADS;
const POWERED : bool = FORMAT == 0u || FORMAT > 2u;
// Where the tiles of x, its second halves, w and its second halves lie.
const REST_A : u32 = TILE_M * STRIDE;
const B : u32 = select(TILE_M, 2u * TILE_M, PARTS > 1u) * STRIDE;
const REST_B : u32 = B + TILE_N * STRIDE;
const OPERANDS : u32 = B + select(TILE_N, 2u * TILE_N, PARTS > 2u) * STRIDE;
// Columns of a subgroup, and the sums of DIM_M rows of every subgroup, as vec4.
const COLUMNS : u32 = REG_N * DIM_N;
const STRIP : u32 = COLUMNS / 4u + 1u;
const SUMS : u32 = SUBGROUPS_M * SUBGROUPS_N * DIM_M * STRIP;
const HELD : u32 = select(OPERANDS, SUMS, SUMS > OPERANDS);
// Powers of ordinary rows, and the exponents of their largest magnitudes, biased by 127.
const POWER_A : f32 = 0x1p9f;
const LEAST_A : u32 = 122u;
const MOST_A : u32 = 132u;
const POWER_B : f32 = 0x1p12f;
const LEAST_B : u32 = 119u;
const MOST_B : u32 = 129u;
const SHIFT_B : u32 = select(0u, 3u, FORMAT > 2u);   // nibbles are below 2^3, and a row is told by its scales

struct Params {
  depth : u32,
  numCols : u32,
  scaleStart : u32,    // word of the weights where their scales begin
  blockGroups : u32,   // groups of four values with one scale
  topK : u32,          // rows per row of x where there are no tiles
  numTiles : u32,      // where the host knows it: rows
  alpha : f32,
  beta : f32,
  limit : f32,
}

@group(0) @binding(0) var<storage, read> x_RK : array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rowSource : array<u32>;         // bound to tiles when not gathered
@group(0) @binding(2) var<storage, read> w1_ENK : array<Pack>;   // values, then from word scaleStart on the scales
@group(0) @binding(3) var<storage, read> w3_ENK : array<Pack>;   // bound to w1 when not gated
@group(0) @binding(4) var<storage, read> bias_E2N : array<f32>;          // [E, 2N] when gated, else [E, N]
@group(0) @binding(5) var<storage, read> tiles : array<vec4<u32>>;       // expert, first row, end row, -
@group(0) @binding(6) var<storage, read_write> y_RN : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> tile : array<vec4<u32>, HELD>;
var<workgroup> powers : array<f32, TILE_M + TILE_N>;
var<workgroup> extremes : array<atomic<u32>, 1>;   // rows that are no ordinary ones

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

// Word `index` of the weights.
fn word(weights : ptr<storage, array<Pack>, read>, index : u32) -> u32 { return vec4<u32>((*weights)[index]).x; }

// Eight values along k of a row of weights, as they are stored.
struct Stored8 { x : vec4<u32>, y : vec4<u32> }

// Two groups of four by their numbers; of nibbles both lie in one word.
fn stored8(weights : ptr<storage, array<Pack>, read>, near : u32, far : u32) -> Stored8 {
  if (FORMAT == 0u) { return Stored8(vec4<u32>((*weights)[near]), vec4<u32>((*weights)[far])); }
  if (FORMAT == 1u) {
    return Stored8(vec4<u32>(word(weights, 2u * near), word(weights, 2u * near + 1u),
                             word(weights, 2u * far), word(weights, 2u * far + 1u)), vec4<u32>());
  }
  if (FORMAT == 2u) { return Stored8(vec4<u32>(word(weights, near), word(weights, far), 0u, 0u), vec4<u32>()); }
  return Stored8(vec4<u32>(word(weights, near >> 1u), 0u, 0u, 0u), vec4<u32>());
}

// What eight stored values are, not yet scaled.
fn values8(w : Stored8) -> mat2x4<f32> {
  if (FORMAT == 0u) { return mat2x4<f32>(bitcast<vec4<f32>>(w.x), bitcast<vec4<f32>>(w.y)); }
  if (FORMAT == 1u) { return mat2x4<f32>(halves4(w.x.x, w.x.y), halves4(w.x.z, w.x.w)); }
  if (FORMAT == 2u) { return mat2x4<f32>(bytes4(w.x.x), bytes4(w.x.y)); }
  return nibbles8(w.x.x);
}

// The scale of a row at a group along k, from the groups before the row; 1 where values have none of their own.
fn scale8(weights : ptr<storage, array<Pack>, read>, before : u32, k : u32) -> f32 {
  if (FORMAT < 3u) { return 1.0; }
  return bitcast<f32>(word(weights, params.scaleStart + ((before + k) >> 3u)));
}

// Values of weights times the power of two of their row; f16 and int8 are halves as they are. In the careful turn a scale
// may lie at an end of f32.
fn powered(w : Stored8, scale : f32, power : f32, careful : bool) -> mat2x4<f32> {
  let values = values8(w);
  if (FORMAT == 1u || FORMAT == 2u) { return values; }
  if (FORMAT == 0u) { return values * power; }
  if (careful) {
    let halves = halvesOf(scale);
    if (power < 0.0) { return (values * halves.x) * -power; }
    return ((values * halves.x) * power) * halves.y;
  }
  return values * (scale * power);
}

// The first eleven bits of each, rounded: by bits, since a compiler may take f32(f16(x)) for x.
fn leading4(v : vec4<f32>) -> vec4<f32> {
  return bitcast<vec4<f32>>((bitcast<vec4<u32>>(v) + vec4<u32>(0x1000u)) & vec4<u32>(0xffffe000u));
}

// Whether each is neither Inf nor NaN.
fn finite4(v : vec4<f32>) -> vec4<bool> {
  return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) < vec4<u32>(0x7f800000u);
}

// The first halves of values.
fn leading8(v : mat2x4<f32>) -> mat2x4<f32> { return mat2x4<f32>(leading4(v[0]), leading4(v[1])); }

// What those leave; of Inf and NaN it is NaN.
fn rest8(v : mat2x4<f32>) -> mat2x4<f32> { return mat2x4<f32>(v[0] - leading4(v[0]), v[1] - leading4(v[1])); }

// The bits of the first halves, cut off: what is left has the sign of the value.
fn cut4(v : vec4<f32>) -> vec4<f32> { return bitcast<vec4<f32>>(bitcast<vec4<u32>>(v) & vec4<u32>(0xffffe000u)); }

// A part of values as a half, which is zero, Inf or NaN only where the value is.
fn partOf4(part : vec4<f32>, v : vec4<f32>) -> vec4<f32> {
  let least = select(vec4<f32>(-0x1p-24f), vec4<f32>(0x1p-24f), v > vec4<f32>());
  let kept = select(part, least, (abs(part) < vec4<f32>(0x1p-24f)) & (v != vec4<f32>()));
  return select(v, kept, finite4(v));
}

// The first halves of values that, in a careful turn, are multiplied with any others: Inf times either half of a value is the
// same Inf, or NaN where the value is zero.
fn firstHalves8(v : mat2x4<f32>, careful : bool) -> mat2x4<f32> {
  if (!careful) { return leading8(v); }
  return mat2x4<f32>(partOf4(cut4(v[0]), v[0]), partOf4(cut4(v[1]), v[1]));
}

// What those leave, likewise.
fn secondHalves8(v : mat2x4<f32>, careful : bool) -> mat2x4<f32> {
  if (!careful) { return rest8(v); }
  return mat2x4<f32>(partOf4(v[0] - cut4(v[0]), v[0]), partOf4(v[1] - cut4(v[1]), v[1]));
}

// The only halves of values, likewise.
fn onlyHalves8(v : mat2x4<f32>, careful : bool) -> mat2x4<f32> {
  if (!careful) { return v; }
  return mat2x4<f32>(partOf4(v[0], v[0]), partOf4(v[1], v[1]));
}

// Eight values as halves.
fn packed8(v : mat2x4<f32>) -> vec4<u32> {
  return vec4<u32>(bitcast<vec2<u32>>(vec4<f16>(v[0])), bitcast<vec2<u32>>(vec4<f16>(v[1])));
}

// Eight halves of which the first or the last four, or all, or none lie within a row.
fn within8(halves : vec4<u32>, near : bool, far : bool) -> vec4<u32> {
  return select(vec4<u32>(), halves, vec4<bool>(near, near, far, far));
}

// The largest of magnitudes as bits, which are in their order; NaN is the largest.
fn mostOf(v : vec4<f32>) -> u32 {
  let bits = bitcast<vec4<u32>>(abs(v));
  return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

// The largest of what can be scaled: Inf and NaN stay what they are.
fn mostFinite(v : vec4<f32>) -> u32 { return mostOf(select(vec4<f32>(), v, finite4(v))); }

// The exponent of a row's largest magnitude as f32 has it, biased by 127.
fn exponentOf(most : u32) -> u32 { return most >> 23u; }

// A power of two that brings the largest magnitude of a row between 2^14 and 2^15, where f16 ends.
fn powerFor(exponent : u32) -> f32 { return bitcast<f32>(clamp(268u - exponent, 1u, 253u) << 23u); }

// That of a row of b. Where all its scales lie below f32's normal numbers they are taken without their second halves, 2^-74, and
// the power is negative.
fn powerOfB(most : u32) -> f32 {
  if (FORMAT > 2u && exponentOf(most) == 0u) { return -powerFor(exponentOf(bitcast<u32>(f32(most) * 0x1p-75f)) + SHIFT_B); }
  return powerFor(exponentOf(most) + SHIFT_B);
}

// value times 2^exponent, in two steps, so that a power beyond f32 is none of them.
fn timesPower(value : f32, exponent : i32) -> f32 {
  let first = clamp(exponent / 2, -126, 127);
  let second = clamp(exponent - first, -126, 127);
  return value * bitcast<f32>(u32(first + 127) << 23u) * bitcast<f32>(u32(second + 127) << 23u);
}

// A sum of products of powered rows, without the powers and with the scale of its column where that was left to the end.
fn restored(sum : f32, powerA : f32, powerB : f32, scale : f32) -> f32 {
  let bitsB = bitcast<u32>(powerB);
  let exponent = 254 - i32(bitcast<u32>(powerA) >> 23u) - i32((bitsB >> 23u) & 255u) - 74 * i32(bitsB >> 31u);
  if (FORMAT != 2u) { return timesPower(sum, exponent); }
  let halves = halvesOf(scale);
  return timesPower(sum * halves.x, exponent + i32(bitcast<u32>(halves.y) >> 23u) - 127);
}

// Told by its bits: a compiler may take any float for a number.
fn isNaN(v : f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

// min that keeps NaN, which WGSL's may drop.
fn atMost(v : f32, most : f32) -> f32 { return select(min(v, most), v, isNaN(v)); }

// max that keeps NaN, which WGSL's may drop.
fn atLeast(v : f32, least : f32) -> f32 { return select(max(v, least), v, isNaN(v)); }

// The row of x that row r of the tiles is.
fn sourceOf(r : u32) -> u32 {
  if (GATHER) { return rowSource[r]; }
  return r;
}

// 1 / (1 + e^-v).
fn sigmoid(v : f32) -> f32 { return 1.0 / (1.0 + exp(-v)); }

// silu(v) w. Below -87 the sigmoid is e^v, which underflows although the product may not: half of it at a time.
fn siluTimes(v : f32, w : f32) -> f32 {
  let half = exp(0.5 * v);
  return select(v * sigmoid(v) * w, v * half * w * half, v < -87.0);
}

// The tanh form. It saturates long before its argument overflows exp. A NaN that clamp drops comes back by the factor v.
fn gelu(v : f32) -> f32 {
  return 0.5 * v * (1.0 + tanh(clamp(0.7978845608028654 * (v + 0.044715 * v * v * v), -20.0, 20.0)));
}

// The activation of the gate, times up when gated; a clamped SwiGLU (ACT 4) bounds both and adds beta to up.
fn epilogue(gate : f32, up : f32) -> f32 {
  if (ACT == 4u) {
    let g = atMost(gate, params.limit);
    return g * sigmoid(params.alpha * g) * (atMost(atLeast(up, -params.limit), params.limit) + params.beta);
  }
  if (ACT == 1u) { return siluTimes(gate, select(1.0, up, GATED)); }
  var v = gate;
  if (ACT == 2u) { v = gelu(gate); }
  if (ACT == 3u) { v = atLeast(gate, 0.0); }
  if (GATED) { v *= up; }
  return v;
}

// Bias of the gate (0) or up (1) projection of column n.
fn bias(expert : u32, n : u32, which : u32) -> f32 {
  if (!BIASED) { return 0.0; }
  let width = select(params.numCols, 2u * params.numCols, GATED);
  return bias_E2N[expert * width + which * params.numCols + n];
}

// Groups of four before the row of x that row `row` of a tile is.
fn beforeX(tile : vec4<u32>, row : u32) -> u32 {
  return sourceOf(min(tile.y + row, max(tile.z, 1u) - 1u)) * (params.depth / 4u);
}

// Groups of four before the row of weights that row `row` of a tile is, of w1 or of w3.
fn beforeW(expert : u32, firstCol : u32, row : u32) -> u32 {
  return (expert * params.numCols + min(firstCol + row % UP, params.numCols - 1u)) * (params.depth / 4u);
}

// Eight values of a row of x, of which the last four may lie outside.
fn eightOfX(before : u32, near : u32, far : u32) -> mat2x4<f32> {
  return mat2x4<f32>(x_RK[before + near], x_RK[before + far]);
}

// Eight weights of row `row` of a tile, of w1 or of w3.
fn eightOfW(row : u32, near : u32, far : u32) -> Stored8 {
  if (row >= UP) { return stored8(&w3_ENK, near, far); }
  return stored8(&w1_ENK, near, far);
}

// Their scale.
fn scaleOfW(row : u32, before : u32, k : u32) -> f32 {
  if (row >= UP) { return scale8(&w3_ENK, before, k); }
  return scale8(&w1_ENK, before, k);
}

// The largest magnitude of a unit of b, as bits: NaN is the largest.
fn mostOfB(w : Stored8, scale : f32, careful : bool) -> u32 {
  if (FORMAT > 2u) { return bitcast<u32>(scale) & 0x7fffffffu; }
  let values = values8(w);
  if (careful) { return max(mostFinite(values[0]), mostFinite(values[1])); }
  return max(mostOf(values[0]), mostOf(values[1]));
}

// The largest magnitude of a row of the tile, of what each of its units has left at `first`. NaN is the largest.
fn mostOfRow(first : u32, row : u32) -> u32 {
  var most = 0u;
  for (var i = 0u; i < UNITS; i += 1u) { most = max(most, tile[first + row * UNITS + i].x); }
  return most;
}

// Whether the power of ordinary rows keeps a row within f16, and well above its least.
fn isOrdinary(most : u32, shift : u32, least : u32, largest : u32) -> bool {
  let exponent = exponentOf(most) + shift;
  return most == 0u || (most >= 0x800000u && exponent >= least && exponent <= largest);
}

// The product of a row and a column from its sum; int8 gets its scale here.
fn productOf(row : u32, column : u32, at : u32, weight : u32) -> f32 {
  let sum = bitcast<f32>(tile[at + column % COLUMNS / 4u][column % 4u]);
  var scale = 1.0;
  if (FORMAT == 2u) {
    if (column >= UP) {
      scale = bitcast<f32>(word(&w3_ENK, params.scaleStart + weight));
    } else {
      scale = bitcast<f32>(word(&w1_ENK, params.scaleStart + weight));
    }
  }
  return restored(sum, powers[row], powers[TILE_M + column], scale);
}

@compute @workgroup_size(THREADS) @subgroup_size(LANES)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32,
        @builtin(subgroup_id) subgroup : u32) {
  let depth4 = params.depth / 4u;
  let rows = tiles[group.y];
  let firstCol = group.x * UP;
  // The row of the first turn, and the first of the two groups along k, that the thread fetches.
  let own = lane / UNITS;
  let k = 2u * (lane % UNITS);
  // Rows of both tiles where the subgroup's matrices begin.
  let down = subgroup / SUBGROUPS_N * REG_M * DIM_M;
  let along = subgroup % SUBGROUPS_N * COLUMNS;
  for (var row = lane; row < TILE_M + TILE_N; row += THREADS) {
    powers[row] = select(select(1.0, POWER_B, POWERED), POWER_A, row < TILE_M);
  }
  var before : array<u32, TURNS_M>;
  for (var i = 0u; i < TURNS_M; i += 1u) { before[i] = beforeX(rows, own + i * ROWS); }
  var sums : array<Result, REG_M * REG_N>;
  var x : array<mat2x4<f32>, TURNS_M>;
  var w : array<Stored8, TURNS_N>;
  var scales : array<f32, TURNS_N>;
  var mostA : array<u32, TURNS_M>;
  var mostB : array<u32, TURNS_N>;
  // In the second turn, which there is where a row is no ordinary one, all rows have powers of their own and Inf, NaN and
  // scales at the ends of f32 are looked after.
  for (var turn = 0u; turn < 2u; turn += 1u) {
    let careful = turn == 1u;
    for (var i = 0u; i < REG_M * REG_N; i += 1u) { sums[i] = Result(); }
    var near = min(k, depth4 - 1u);
    var far = min(k + 1u, depth4 - 1u);
    for (var i = 0u; i < TURNS_M; i += 1u) { x[i] = eightOfX(before[i], near, far); }
    for (var i = 0u; i < TURNS_N; i += 1u) {
      let row = own + i * ROWS;
      let beforeRow = beforeW(rows.x, firstCol, row);
      w[i] = eightOfW(row, beforeRow + near, beforeRow + far);
      scales[i] = scaleOfW(row, beforeRow, near);
    }
    for (var first = 0u; first < depth4; first += 2u * UNITS) {
      let nearInside = first + k < depth4;
      let farInside = first + k + 1u < depth4;
      workgroupBarrier();
      for (var i = 0u; i < TURNS_M; i += 1u) {
        let row = own + i * ROWS;
        let put = own * STRIDE + lane % UNITS + i * ROWS * STRIDE;
        let values = x[i] * powers[row];
        // As bits: NaN is the largest.
        if (!careful) { mostA[i] = max(mostA[i], max(mostOf(x[i][0]), mostOf(x[i][1]))); }
        if (PARTS == 1u) {
          tile[put] = within8(packed8(onlyHalves8(values, careful)), nearInside, farInside);
        } else {
          tile[put] = within8(packed8(firstHalves8(values, careful)), nearInside, farInside);
          tile[put + REST_A] = within8(packed8(secondHalves8(values, careful)), nearInside, farInside);
        }
      }
      for (var i = 0u; i < TURNS_N; i += 1u) {
        let row = own + i * ROWS;
        let put = own * STRIDE + lane % UNITS + i * ROWS * STRIDE + B;
        // As bits: NaN is the largest.
        if (POWERED && !careful) { mostB[i] = max(mostB[i], mostOfB(w[i], scales[i], false)); }
        let values = powered(w[i], scales[i], powers[TILE_M + row], careful);
        if (FORMAT == 1u) {
          tile[put] = within8(w[i].x, nearInside, farInside);
        } else if (PARTS < 3u) {
          tile[put] = within8(packed8(onlyHalves8(values, careful)), nearInside, farInside);
        } else {
          tile[put] = within8(packed8(firstHalves8(values, careful)), nearInside, farInside);
          tile[put + (REST_B - B)] = within8(packed8(secondHalves8(values, careful)), nearInside, farInside);
        }
      }
      workgroupBarrier();
      // The next tile is on its way while this one is multiplied; after the last it is the same once more.
      let next = min(first + 2u * UNITS, depth4 - 1u);
      near = min(next + k, depth4 - 1u);
      far = min(next + k + 1u, depth4 - 1u);
      for (var i = 0u; i < TURNS_M; i += 1u) { x[i] = eightOfX(before[i], near, far); }
      for (var i = 0u; i < TURNS_N; i += 1u) {
        let row = own + i * ROWS;
        let beforeRow = beforeW(rows.x, firstCol, row);
        w[i] = eightOfW(row, beforeRow + near, beforeRow + far);
        scales[i] = scaleOfW(row, beforeRow, near);
      }
      for (var step = 0u; step < UNITS; step += DIM_K / 8u) {
        var right : array<Right, REG_N>;
        for (var j = 0u; j < REG_N; j += 1u) {
          right[j] = subgroupMatrixLoad<Right, col_major>(&tile, B + (along + j * DIM_N) * STRIDE + step, STRIDE);
        }
        for (var i = 0u; i < REG_M; i += 1u) {
          let left = subgroupMatrixLoad<Left, row_major>(&tile, (down + i * DIM_M) * STRIDE + step, STRIDE);
          for (var j = 0u; j < REG_N; j += 1u) {
            sums[i * REG_N + j] = subgroupMatrixMultiplyAccumulate(left, right[j], sums[i * REG_N + j]);
          }
          if (PARTS > 2u) {
            for (var j = 0u; j < REG_N; j += 1u) {
              let rest = subgroupMatrixLoad<Right, col_major>(&tile, REST_B + (along + j * DIM_N) * STRIDE + step, STRIDE);
              sums[i * REG_N + j] = subgroupMatrixMultiplyAccumulate(left, rest, sums[i * REG_N + j]);
            }
          }
          if (PARTS > 1u) {
            let rest = subgroupMatrixLoad<Left, row_major>(&tile, REST_A + (down + i * DIM_M) * STRIDE + step, STRIDE);
            for (var j = 0u; j < REG_N; j += 1u) {
              sums[i * REG_N + j] = subgroupMatrixMultiplyAccumulate(rest, right[j], sums[i * REG_N + j]);
            }
          }
        }
      }
    }
    if (careful) { break; }
    // Are all rows ordinary?
    workgroupBarrier();
    for (var i = 0u; i < TURNS_M; i += 1u) { tile[lane + i * THREADS].x = mostA[i]; }
    if (POWERED) {
      for (var i = 0u; i < TURNS_N; i += 1u) { tile[B + lane + i * THREADS].x = mostB[i]; }
    }
    workgroupBarrier();
    for (var row = lane; row < TILE_M; row += THREADS) {
      if (!isOrdinary(mostOfRow(0u, row), 0u, LEAST_A, MOST_A)) { atomicAdd(&extremes[0], 1u); }
    }
    if (POWERED) {
      for (var row = lane; row < TILE_N; row += THREADS) {
        if (!isOrdinary(mostOfRow(B, row), SHIFT_B, LEAST_B, MOST_B)) { atomicAdd(&extremes[0], 1u); }
      }
    }
    if (workgroupUniformLoad(&extremes[0]) == 0u) { break; }
    // The largest that is finite, of each row.
    for (var i = 0u; i < TURNS_M; i += 1u) {
      var most = 0u;
      for (var at = k; at < depth4; at += 2u * UNITS) {
        let values = eightOfX(before[i], at, min(at + 1u, depth4 - 1u));
        most = max(most, max(mostFinite(values[0]), mostFinite(values[1])));
      }
      tile[lane + i * THREADS].x = most;
    }
    if (POWERED) {
      for (var i = 0u; i < TURNS_N; i += 1u) {
        let row = own + i * ROWS;
        let beforeRow = beforeW(rows.x, firstCol, row);
        var most = 0u;
        for (var at = k; at < depth4; at += 2u * UNITS) {
          let values = eightOfW(row, beforeRow + at, beforeRow + min(at + 1u, depth4 - 1u));
          most = max(most, mostOfB(values, scaleOfW(row, beforeRow, at), true));
        }
        tile[B + lane + i * THREADS].x = most;
      }
    }
    workgroupBarrier();
    for (var row = lane; row < TILE_M; row += THREADS) { powers[row] = powerFor(exponentOf(mostOfRow(0u, row))); }
    if (POWERED) {
      for (var row = lane; row < TILE_N; row += THREADS) {
        powers[TILE_M + row] = powerOfB(mostOfRow(B, row));
      }
    }
  }
  // DIM_M rows of each subgroup at a time, through workgroup storage: lanes side by side store columns side by side.
  for (var i = 0u; i < REG_M; i += 1u) {
    workgroupBarrier();
    // By a test: an array that a loop with barriers indexes lies in memory.
    for (var j = 0u; j < REG_M * REG_N; j += 1u) {
      if (j / REG_N == i) {
        subgroupMatrixStore<row_major>(&tile, subgroup * DIM_M * STRIP + j % REG_N * DIM_N / 4u, sums[j], STRIP);
      }
    }
    workgroupBarrier();
    for (var at = lane; at < SUBGROUPS_M * DIM_M * UP; at += THREADS) {
      let column = at % UP;
      let strip = at / UP;
      let row = (strip / DIM_M * REG_M + i) * DIM_M + strip % DIM_M;
      let n = firstCol + column;
      if (rows.y + row >= rows.z || n >= params.numCols) { continue; }
      let weight = rows.x * params.numCols + n;
      let strips = (strip / DIM_M * SUBGROUPS_N * DIM_M + strip % DIM_M) * STRIP;
      let gate = productOf(row, column, strips + column / COLUMNS * DIM_M * STRIP, weight);
      var up = 0.0;
      if (GATED) {
        let other = column + UP;
        up = productOf(row, other, strips + other / COLUMNS * DIM_M * STRIP, weight) + bias(rows.x, n, 1u);
      }
      y_RN[(rows.y + row) * params.numCols + n] = epilogue(gate + bias(rows.x, n, 0u), up);
    }
  }
}
