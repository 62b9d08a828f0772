// c[m,n] = sum over k of a[m,k] * b[n,k], plus bias[n] where there is one, by matrix units: f16 by f16, sums in f32.
// Grid    a workgroup covers TILE_M x TILE_N outputs; a subgroup owns REG_M x REG_N matrices of them.
// Memory  rows of both operands lie in workgroup storage as halves, 8 along k to a vec4. PARTS = 2: what a half leaves of a
//         value of a is a second half, so that 22 bits of it take part; 3: of b too, where f16 does not hold b. The next
//         tile is fetched as it is stored while this one is multiplied, and turned and masked when it is put.
// Order   k ascending, a matrix at a time, in whose order the adapter adds: the same bits on every run.
// Edges   K is a multiple of 4. Rows of a, and of b where f16 does not hold it, are multiplied with a power of two. The
//         first turn takes what fits ordinary numbers; where a row turns out to be none, its own power is found and all is
//         computed anew. Rows and columns outside are clamped for the loads and never stored; beyond K is zero.

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
const PARTS : u32 = 2u;         // spec: products: 1 of rounded operands, 2 with a in two halves, 3 with b too
const FORMAT : u32 = 0u;        // spec: of b: 0 f32, 1 f16, 2 int8, 3 int4, 4 MXFP4, 5 the same by way of f16
const BF16 : bool = false;      // spec: what format 1 holds is bf16
const BIASED : bool = false;    // spec: add a bias per column
alias Pack = vec4<u32>;         // spec: one load of b: vec4<u32> for f32, u32 otherwise

alias Left = subgroup_matrix_left<f16, DIM_K, DIM_M>;
alias Right = subgroup_matrix_right<f16, DIM_N, DIM_K>;
alias Result = subgroup_matrix_result<f32, DIM_N, DIM_M>;

const THREADS : u32 = LANES * SUBGROUPS_M * SUBGROUPS_N;
const TILE_M : u32 = SUBGROUPS_M * REG_M * DIM_M;
const TILE_N : u32 = SUBGROUPS_N * REG_N * DIM_N;
const UNITS : u32 = TILE_K / 8u;        // vec4 of a row of a tile
const STRIDE : u32 = UNITS + 1u;        // padded against bank conflicts
const ROWS : u32 = THREADS / UNITS;     // of a tile that are fetched in a turn
const TURNS_M : u32 = TILE_M * UNITS / THREADS;
const TURNS_N : u32 = TILE_N * UNITS / THREADS;
const POWERED_B : bool = FORMAT == 0u || FORMAT > 2u;
// Where the tiles of a, its second halves, b and its second halves lie.
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

struct Params { numRows : u32, numCols : u32, depth : u32, scaleStart : u32, blockGroups : u32 }

@group(0) @binding(0) var<storage, read> a_MK : array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b_NK : array<Pack>;   // values, then from word scaleStart on the scales
@group(0) @binding(2) var<storage, read_write> c_MN : array<f32>;
@group(0) @binding(3) var<storage, read> bias_N : array<f32>;   // bound to a when absent
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

// Eight values along k of a row of weights, as they are stored.
struct Stored8 { x : vec4<u32>, y : vec4<u32> }

// Word `index` of the weights.
fn word(weights : ptr<storage, array<Pack>, read>, index : u32) -> u32 { return vec4<u32>((*weights)[index]).x; }

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

// c[row, col] from its sum.
fn storeProduct(row : u32, col : u32, sum : f32, powerA : f32, powerB : f32) {
  var scale = 1.0;
  if (FORMAT == 2u) { scale = bitcast<f32>(word(&b_NK, params.scaleStart + col)); }
  var value = restored(sum, powerA, powerB, scale);
  if (BIASED) { value += bias_N[col]; }
  c_MN[row * params.numCols + col] = value;
}

// Groups of four before the rows of the operands that are row `row` of a tile.
fn beforeA(row : u32) -> u32 { return min(row, params.numRows - 1u) * (params.depth / 4u); }

fn beforeB(row : u32) -> u32 { return min(row, params.numCols - 1u) * (params.depth / 4u); }

// Eight values of a, of which the last four may lie outside.
fn eightOfA(before : u32, near : u32, far : u32) -> mat2x4<f32> {
  return mat2x4<f32>(a_MK[before + near], a_MK[before + far]);
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

@compute @workgroup_size(THREADS) @subgroup_size(LANES)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32,
        @builtin(subgroup_id) subgroup : u32) {
  let depth4 = params.depth / 4u;
  let firstRow = group.y * TILE_M;
  let firstCol = group.x * TILE_N;
  // The row of the first turn, and the first of the two groups along k, that the thread fetches.
  let own = lane / UNITS;
  let k = 2u * (lane % UNITS);
  // Rows of both tiles where the subgroup's matrices begin.
  let down = subgroup / SUBGROUPS_N * REG_M * DIM_M;
  let along = subgroup % SUBGROUPS_N * COLUMNS;
  for (var row = lane; row < TILE_M + TILE_N; row += THREADS) {
    powers[row] = select(select(1.0, POWER_B, POWERED_B), POWER_A, row < TILE_M);
  }
  var sums : array<Result, REG_M * REG_N>;
  var a : array<mat2x4<f32>, TURNS_M>;
  var b : array<Stored8, TURNS_N>;
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
    for (var i = 0u; i < TURNS_M; i += 1u) { a[i] = eightOfA(beforeA(firstRow + own + i * ROWS), near, far); }
    for (var i = 0u; i < TURNS_N; i += 1u) {
      let before = beforeB(firstCol + own + i * ROWS);
      b[i] = stored8(&b_NK, before + near, before + far);
      scales[i] = scale8(&b_NK, before, near);
    }
    for (var first = 0u; first < depth4; first += 2u * UNITS) {
      let nearInside = first + k < depth4;
      let farInside = first + k + 1u < depth4;
      workgroupBarrier();
      for (var i = 0u; i < TURNS_M; i += 1u) {
        let row = own + i * ROWS;
        let put = own * STRIDE + lane % UNITS + i * ROWS * STRIDE;
        let values = a[i] * powers[row];
        // As bits: NaN is the largest.
        if (!careful) { mostA[i] = max(mostA[i], max(mostOf(a[i][0]), mostOf(a[i][1]))); }
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
        if (POWERED_B && !careful) { mostB[i] = max(mostB[i], mostOfB(b[i], scales[i], false)); }
        let values = powered(b[i], scales[i], powers[TILE_M + row], careful);
        if (FORMAT == 1u) {
          tile[put] = within8(b[i].x, nearInside, farInside);
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
      for (var i = 0u; i < TURNS_M; i += 1u) { a[i] = eightOfA(beforeA(firstRow + own + i * ROWS), near, far); }
      for (var i = 0u; i < TURNS_N; i += 1u) {
        let before = beforeB(firstCol + own + i * ROWS);
        b[i] = stored8(&b_NK, before + near, before + far);
        scales[i] = scale8(&b_NK, before, near);
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
    if (POWERED_B) {
      for (var i = 0u; i < TURNS_N; i += 1u) { tile[B + lane + i * THREADS].x = mostB[i]; }
    }
    workgroupBarrier();
    for (var row = lane; row < TILE_M; row += THREADS) {
      if (!isOrdinary(mostOfRow(0u, row), 0u, LEAST_A, MOST_A)) { atomicAdd(&extremes[0], 1u); }
    }
    if (POWERED_B) {
      for (var row = lane; row < TILE_N; row += THREADS) {
        if (!isOrdinary(mostOfRow(B, row), SHIFT_B, LEAST_B, MOST_B)) { atomicAdd(&extremes[0], 1u); }
      }
    }
    if (workgroupUniformLoad(&extremes[0]) == 0u) { break; }
    // The largest that is finite, of each row.
    for (var i = 0u; i < TURNS_M; i += 1u) {
      let before = beforeA(firstRow + own + i * ROWS);
      var most = 0u;
      for (var at = k; at < depth4; at += 2u * UNITS) {
        let values = eightOfA(before, at, min(at + 1u, depth4 - 1u));
        most = max(most, max(mostFinite(values[0]), mostFinite(values[1])));
      }
      tile[lane + i * THREADS].x = most;
    }
    if (POWERED_B) {
      for (var i = 0u; i < TURNS_N; i += 1u) {
        let before = beforeB(firstCol + own + i * ROWS);
        var most = 0u;
        for (var at = k; at < depth4; at += 2u * UNITS) {
          let values = stored8(&b_NK, before + at, before + min(at + 1u, depth4 - 1u));
          most = max(most, mostOfB(values, scale8(&b_NK, before, at), true));
        }
        tile[B + lane + i * THREADS].x = most;
      }
    }
    workgroupBarrier();
    for (var row = lane; row < TILE_M; row += THREADS) { powers[row] = powerFor(exponentOf(mostOfRow(0u, row))); }
    if (POWERED_B) {
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
    for (var at = lane; at < SUBGROUPS_M * DIM_M * TILE_N; at += THREADS) {
      let column = at % TILE_N;
      let strip = at / TILE_N;
      let owner = strip / DIM_M * SUBGROUPS_N + column / COLUMNS;
      let row = (strip / DIM_M * REG_M + i) * DIM_M + strip % DIM_M;
      let word = tile[(owner * DIM_M + strip % DIM_M) * STRIP + column % COLUMNS / 4u][column % 4u];
      if (firstRow + row < params.numRows && firstCol + column < params.numCols) {
        storeProduct(firstRow + row, firstCol + column, bitcast<f32>(word), powers[row], powers[TILE_M + column]);
      }
    }
  }
}
