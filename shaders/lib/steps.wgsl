// Rows of activations rounded to int8 by steps of their largest magnitude, and products of four bytes each.

// The largest magnitude of a row times its power; 1 for a row of zeros.
fn poweredMost(most : u32) -> f32 { return select(bitcast<f32>(most) * powerOf(exponentFor(most)), 1.0, most == 0u); }

// Four values of a row of a in 127 steps of its largest magnitude.
fn stepsOf(v : vec4<f32>, factors : vec2<f32>) -> u32 {
  return pack4xI8(vec4<i32>(round(v * factors.x * factors.y)));
}

// Four rows of a, or columns of b, of which a thread fetches a word each.
struct FourRows { x : vec4<f32>, y : vec4<f32>, z : vec4<f32>, w : vec4<f32> }

// A word each of four rows of the tile, from `row` on.
fn steps4(v : FourRows, row : u32) -> vec4<u32> {
  return vec4<u32>(stepsOf(v.x, toSteps[row]), stepsOf(v.y, toSteps[row + 1u]),
                   stepsOf(v.z, toSteps[row + 2u]), stepsOf(v.w, toSteps[row + 3u]));
}

// Sums of four rows by four columns.
struct WholeSums { x : vec4<i32>, y : vec4<i32>, z : vec4<i32>, w : vec4<i32> }

// Products of four bytes each, summed.
fn dotsOfBytes(a : u32, b : vec4<u32>) -> vec4<i32> {
  return vec4<i32>(dot4I8Packed(a, b.x), dot4I8Packed(a, b.y), dot4I8Packed(a, b.z), dot4I8Packed(a, b.w));
}

// Sums, and four rows times four columns more.
fn withDots(sums : WholeSums, a : vec4<u32>, b : vec4<u32>) -> WholeSums {
  return WholeSums(sums.x + dotsOfBytes(a.x, b), sums.y + dotsOfBytes(a.y, b), sums.z + dotsOfBytes(a.z, b), sums.w + dotsOfBytes(a.w, b));
}

// A product from its sum of steps, the largest magnitude of its row and the scale of its column.
fn fromSteps(sum : i32, most : u32, scale : f32) -> f32 {
  let halves = halvesOf(scale);
  let exponent = 127 - i32(exponentFor(most)) + i32(bitcast<u32>(halves.y) >> 23u) - 127;
  return timesPower(f32(sum) * (poweredMost(most) / 127.0) * halves.x, exponent);
}
