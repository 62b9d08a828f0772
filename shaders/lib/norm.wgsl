// Squares that leave f32.

// Of squares that leave f32 a power of two is taken out: of the elements in their sum, and then in the result in two
// parts, since either may leave f32 by itself.
struct Range { inSum : f32, before : f32, after : f32 }

// `total` is the mean of squares and eps. Below 2^-100 squares may be lost; else it is fine, or beyond f32, or NaN.
fn rangeOf(total : f32) -> Range {
  if (total < 0x1p-100f) { return Range(0x1p88f, 0x1p88f, 1.0); }
  if ((bitcast<u32>(total) & 0x7f800000u) == 0x7f800000u) { return Range(0x1p-80f, 0x1p-4f, 0x1p-76f); }
  return Range(1.0, 1.0, 1.0);
}
