// y[lane] = the sum of all chains after `steps` multiply-adds on each of four or eight chains of vec4 f32.
// Grid    as many workgroups as keep the adapter busy; a lane owns its chains.
// Memory  registers only, one store at the end: 16 values are enough to hide latency, 32 suit wide register files.
// Order   s becomes 2 s + 1, then s / 2 + 1 / 2: every two steps add exactly 1, with one rounding or with two.
// Edges   steps is a multiple of 8; factors are parameters: no compiler knows them.

const WG : u32 = 64u;           // spec: lanes per workgroup
const FUSED : bool = false;     // spec: the built-in fma() instead of a product and a sum
const WIDE : bool = false;      // spec: eight chains instead of four

struct Params { lanes : u32, steps : u32, two : f32, one : f32, half : f32 }

@group(0) @binding(0) var<storage, read_write> y : array<vec4<f32>>;   // one per lane
@group(1) @binding(0) var<uniform> params : Params;

fn mulAdd(s : vec4<f32>, factor : f32, term : f32) -> vec4<f32> {
  if (FUSED) { return fma(s, vec4<f32>(factor), vec4<f32>(term)); }
  return s * factor + term;
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid : vec3<u32>) {
  if (gid.x >= params.lanes) { return; }
  let two = params.two;
  let one = params.one;
  let half = params.half;
  var a = vec4<f32>(0.0, 1.0, 2.0, 3.0) + f32(gid.x & 15u);
  var b = a + 4.0;
  var c = a + 8.0;
  var d = a + 12.0;
  var e = a + 16.0;
  var f = a + 20.0;
  var g = a + 24.0;
  var h = a + 28.0;
  for (var i = 0u; i < params.steps; i += 8u) {
    a = mulAdd(a, two, one); b = mulAdd(b, two, one); c = mulAdd(c, two, one); d = mulAdd(d, two, one);
    a = mulAdd(a, half, half); b = mulAdd(b, half, half); c = mulAdd(c, half, half); d = mulAdd(d, half, half);
    a = mulAdd(a, two, one); b = mulAdd(b, two, one); c = mulAdd(c, two, one); d = mulAdd(d, two, one);
    a = mulAdd(a, half, half); b = mulAdd(b, half, half); c = mulAdd(c, half, half); d = mulAdd(d, half, half);
    a = mulAdd(a, two, one); b = mulAdd(b, two, one); c = mulAdd(c, two, one); d = mulAdd(d, two, one);
    a = mulAdd(a, half, half); b = mulAdd(b, half, half); c = mulAdd(c, half, half); d = mulAdd(d, half, half);
    a = mulAdd(a, two, one); b = mulAdd(b, two, one); c = mulAdd(c, two, one); d = mulAdd(d, two, one);
    a = mulAdd(a, half, half); b = mulAdd(b, half, half); c = mulAdd(c, half, half); d = mulAdd(d, half, half);
    if (WIDE) {
      e = mulAdd(e, two, one); f = mulAdd(f, two, one); g = mulAdd(g, two, one); h = mulAdd(h, two, one);
      e = mulAdd(e, half, half); f = mulAdd(f, half, half); g = mulAdd(g, half, half); h = mulAdd(h, half, half);
      e = mulAdd(e, two, one); f = mulAdd(f, two, one); g = mulAdd(g, two, one); h = mulAdd(h, two, one);
      e = mulAdd(e, half, half); f = mulAdd(f, half, half); g = mulAdd(g, half, half); h = mulAdd(h, half, half);
      e = mulAdd(e, two, one); f = mulAdd(f, two, one); g = mulAdd(g, two, one); h = mulAdd(h, two, one);
      e = mulAdd(e, half, half); f = mulAdd(f, half, half); g = mulAdd(g, half, half); h = mulAdd(h, half, half);
      e = mulAdd(e, two, one); f = mulAdd(f, two, one); g = mulAdd(g, two, one); h = mulAdd(h, two, one);
      e = mulAdd(e, half, half); f = mulAdd(f, half, half); g = mulAdd(g, half, half); h = mulAdd(h, half, half);
    }
  }
  var total = (a + b) + (c + d);
  if (WIDE) { total += (e + f) + (g + h); }
  y[gid.x] = total;
}
