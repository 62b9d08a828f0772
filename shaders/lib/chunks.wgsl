// Few rows of x against rows of weights: what one load of weights is multiplied with stays in registers.

// What one vec4<u32> of weights is multiplied with: 4 values of x for f32, 8 for f16, 16 for int8, 32 for nibbles.
struct Chunk {
  x0 : vec4<f32>, x1 : vec4<f32>, x2 : vec4<f32>, x3 : vec4<f32>,
  x4 : vec4<f32>, x5 : vec4<f32>, x6 : vec4<f32>, x7 : vec4<f32>,
}

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

// The chunk of x whose first group of four is `group`.
fn chunkAt(x : ptr<storage, array<vec4<f32>>, read>, group : u32) -> Chunk {
  var c : Chunk;
  c.x0 = (*x)[group];
  if (GROUPS > 1u) { c.x1 = (*x)[group + 1u]; }
  if (GROUPS > 2u) {
    c.x2 = (*x)[group + 2u];
    c.x3 = (*x)[group + 3u];
  }
  if (GROUPS > 4u) {
    c.x4 = (*x)[group + 4u];
    c.x5 = (*x)[group + 5u];
    c.x6 = (*x)[group + 6u];
    c.x7 = (*x)[group + 7u];
  }
  return c;
}

// A chunk times a scale.
fn scaledBy(c : Chunk, scale : f32) -> Chunk {
  let f = halvesOf(scale);
  return Chunk(c.x0 * f.y * f.x, c.x1 * f.y * f.x, c.x2 * f.y * f.x, c.x3 * f.y * f.x,
               c.x4 * f.y * f.x, c.x5 * f.y * f.x, c.x6 * f.y * f.x, c.x7 * f.y * f.x);
}

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

// Chunk `c` of row `row` of the weights times x, with the scale of its block. A row has `chunks`.
fn insideDot(weights : ptr<storage, array<vec4<u32>>, read>, x : Chunk, row : u32, c : u32, chunks : u32) -> f32 {
  let at = row * chunks + c;
  if (WIDE) { return chunkDot(scaledBy(x, scale(weights, select(at, row, FORMAT == 2u))), (*weights)[at]); }
  let sum = chunkDot(x, (*weights)[at]);
  if (FORMAT < 3u) { return sum; }
  return sum * scale(weights, at);
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

// Chunks of x that a lane holds: its own of a panel, LANES apart.
struct Panel { c0 : Chunk, c1 : Chunk, c2 : Chunk, c3 : Chunk }

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

// The first of two steps in which sums of lanes meet: of eight lanes side by side, for one of the eight outputs.
fn sumOfRun(lane : u32) -> f32 {
  let first = lane / SHARE * ROW + lane % SHARE * 8u;
  var sum = 0.0;
  for (var i = 0u; i < 8u; i += 1u) { sum += partial[first + i]; }
  return sum;
}

// The sum of all lanes for the j-th of the eight outputs.
fn laneTotal(j : u32) -> f32 {
  var sum = 0.0;
  if (TWO_STEPS) {
    for (var i = 0u; i < SHARE; i += 1u) { sum += ofRun[j * SHARE + i]; }
    return sum;
  }
  for (var i = 0u; i < WG; i += 1u) { sum += partial[j * ROW + i]; }
  return sum;
}
