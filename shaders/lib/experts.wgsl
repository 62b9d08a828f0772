// The ends of a grouped GEMM of experts: where a row of x lies, and what becomes of its sums.

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

// Column n of a row of y from its sums; int8 gets its scales here.
fn storeOne(expert : u32, row : u32, n : u32, gate : f32, up : f32) {
  if (n >= params.numCols) { return; }
  var g = gate;
  var u = up;
  let rowW = expert * params.numCols + n;
  if (FORMAT == 2u && !WIDE) { g *= scale(&w1_ENK, rowW); }
  if (GATED) {
    if (FORMAT == 2u && !WIDE) { u *= scale(&w3_ENK, rowW); }
    u += bias(expert, n, 1u);
  }
  y_RN[row * params.numCols + n] = epilogue(g + bias(expert, n, 0u), u);
}
