// Blocks of four rows by four values along k, as a thread fetches them, and products of blocks of 4 x 4 in registers.

// Four rows of weights, a group of four along k of each, as they are stored.
struct Stored { x : vec4<u32>, y : vec4<u32>, z : vec4<u32>, w : vec4<u32> }

// A group of four along k by its number: the words that hold it, of nibbles the word whose half it is.
fn stored4(weights : ptr<storage, array<Pack>, read>, group : u32) -> vec4<u32> {
  if (FORMAT == 0u) { return vec4<u32>((*weights)[group]); }
  if (FORMAT == 1u) {
    return vec4<u32>(vec4<u32>((*weights)[2u * group]).x, vec4<u32>((*weights)[2u * group + 1u]).x, 0u, 0u);
  }
  if (FORMAT == 2u) { return vec4<u32>((*weights)[group]); }
  return vec4<u32>((*weights)[group >> 1u]);
}

// A group of four along k of four rows, by the group that each row begins with.
fn storedRows(weights : ptr<storage, array<Pack>, read>, rows : vec4<u32>, k : u32) -> Stored {
  return Stored(stored4(weights, rows.x + k), stored4(weights, rows.y + k),
                stored4(weights, rows.z + k), stored4(weights, rows.w + k));
}

// The groups at `k` of four rows of weights, one below the other: by where each begins, or, where registers are short of that,
// by where the first and the last of all begin. What is computed of rows beyond the last is not stored.
fn groupsAt(rows : vec4<u32>, first : u32, last : u32, k : u32) -> vec4<u32> {
  if (BEGINS_HELD) { return rows + k; }
  return min(vec4<u32>(first + k) + vec4<u32>(0u, 1u, 2u, 3u) * (params.depth / 4u), vec4<u32>(last + k));
}

// What four stored values are, not yet scaled; `half` of a word of nibbles, 0 or 1. Those of e2m1 may lack 2^14, which the held
// scales have.
fn valuesOf(words : vec4<u32>, half : u32) -> vec4<f32> {
  if (FORMAT == 0u) { return bitcast<vec4<f32>>(words); }
  if (FORMAT == 1u) { return halves4(words.x, words.y); }
  if (FORMAT == 2u) { return bytes4(words.x); }
  if (FORMAT == 5u) { return small4(words.x >> (16u * half)); }
  return nibbles4(words.x >> (16u * half));
}

// Words where the scales of four rows begin; `rows` counts groups of four along k, `numbers` rows.
fn firstScales(rows : vec4<u32>, numbers : vec4<u32>) -> vec4<u32> {
  if (FORMAT == 2u) { return numbers + vec4<u32>(params.scaleStart); }
  return (rows >> vec4<u32>(3u)) + vec4<u32>(params.scaleStart);
}

// Scales of four rows in the tile at group `k`, which lies in one block of scales, from where they begin.
fn scalesOfRows(weights : ptr<storage, array<Pack>, read>, first : vec4<u32>, k : u32) -> vec4<f32> {
  var offset = k >> 3u;
  if (FORMAT == 2u) { offset = 0u; }
  return bitcast<vec4<f32>>(vec4<u32>(
    vec4<u32>((*weights)[first.x + offset]).x, vec4<u32>((*weights)[first.y + offset]).x,
    vec4<u32>((*weights)[first.z + offset]).x, vec4<u32>((*weights)[first.w + offset]).x));
}

// The half of a scale that goes with a weight; all of it where products stay within f32.
fn heldScales(scales : vec4<f32>) -> vec4<f32> {
  var held = scales;
  if (WIDE) {
    held = vec4<f32>(halvesOf(scales.x).x, halvesOf(scales.y).x, halvesOf(scales.z).x, halvesOf(scales.w).x);
  }
  if (FORMAT == 5u) { held *= 0x1p14f; }
  return held;
}

// The half that is left.
fn leftScales(scales : vec4<f32>) -> vec4<f32> {
  return vec4<f32>(halvesOf(scales.x).y, halvesOf(scales.y).y, halvesOf(scales.z).y, halvesOf(scales.w).y);
}

// Four rows of weights turned: column i is k = i. int8 is scaled at the end, unless its products may leave f32.
fn turned(rows : Stored, half : u32, scales : vec4<f32>) -> mat4x4<f32> {
  let x = valuesOf(rows.x, half);
  let y = valuesOf(rows.y, half);
  let z = valuesOf(rows.z, half);
  let w = valuesOf(rows.w, half);
  if (FORMAT < 2u || (FORMAT == 2u && !WIDE)) { return transpose(mat4x4<f32>(x, y, z, w)); }
  let held = heldScales(scales);
  return transpose(mat4x4<f32>(x * held.x, y * held.y, z * held.z, w * held.w));
}

// Four rows of sums, and the product of four rows with four columns more.
fn times(sums : mat4x4<f32>, a : vec4<f32>, b : vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(fma(a.xxxx, b, sums[0]), fma(a.yyyy, b, sums[1]), fma(a.zzzz, b, sums[2]), fma(a.wwww, b, sums[3]));
}

// The same where products with a whole scale may leave f32: a takes the half that b lacks.
fn timesWide(sums : mat4x4<f32>, a : vec4<f32>, left : vec4<f32>, b : vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(fma(a.xxxx * left, b, sums[0]), fma(a.yyyy * left, b, sums[1]),
                     fma(a.zzzz * left, b, sums[2]), fma(a.wwww * left, b, sums[3]));
}

// Four numbers from the first on.
fn fourFrom(first : u32) -> vec4<u32> { return vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u); }

// A product of blocks, in the way that their numbers ask for.
fn product(sums : mat4x4<f32>, a : vec4<f32>, left : vec4<f32>, b : vec4<f32>) -> mat4x4<f32> {
  if (WIDE) { return timesWide(sums, a, left, b); }
  return times(sums, a, b);
}

// What products with the near and the far columns lack of their scales; with WIDE only.
struct Left { near : vec4<f32>, far : vec4<f32> }

// A group of four along k of four rows of a.
fn rowsOfA(rows : vec4<u32>, k : u32) -> mat4x4<f32> {
  return mat4x4<f32>(a_MK[rows.x + k], a_MK[rows.y + k], a_MK[rows.z + k], a_MK[rows.w + k]);
}

// A group of four along k of four rows of x.
fn rowsOfX(rows : vec4<u32>, k : u32) -> mat4x4<f32> {
  return mat4x4<f32>(x_RK[rows.x + k], x_RK[rows.y + k], x_RK[rows.z + k], x_RK[rows.w + k]);
}

// Rows of weights by their column, as all experts' rows are counted.
fn weightRows(expert : u32, col : u32) -> vec4<u32> {
  return expert * params.numCols + min(fourFrom(col), vec4<u32>(params.numCols - 1u));
}
