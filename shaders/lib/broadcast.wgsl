// A tile of rows whose values are shared by shuffles: a lane owns four rows of weights, lanes hold eight rows of x.

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
