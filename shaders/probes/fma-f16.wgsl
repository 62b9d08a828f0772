// y[lane] = the sum of all chains after `steps` multiply-adds on each of four or eight chains of vec4 f16.
// Grid    as many workgroups as keep the adapter busy; a lane owns its chains.
// Memory  registers only, one store at the end: 16 values are enough to hide latency, 32 suit wide register files.
// Order   s becomes 2 s + 1, then s / 2 + 1 / 2: every two steps add exactly 1, with one rounding or with two.
// Edges   steps is a multiple of 8, at most 1,024 (f16 counts to 2,048); no compiler knows the factors.

enable f16;

const WG : u32 = 64u;           // spec: lanes per workgroup
const FUSED : bool = false;     // spec: the built-in fma() instead of a product and a sum
const WIDE : bool = false;      // spec: eight chains instead of four

struct Params { lanes : u32, steps : u32, two : f32, one : f32, half : f32 }

@group(0) @binding(0) var<storage, read_write> y : array<vec4<f32>>;   // one per lane
@group(1) @binding(0) var<uniform> params : Params;

fn mulAddHalf(s : vec4<f16>, factor : f16, term : f16) -> vec4<f16> {
  if (FUSED) { return fma(s, vec4<f16>(factor), vec4<f16>(term)); }
  return s * factor + term;
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid : vec3<u32>) {
  if (gid.x >= params.lanes) { return; }
  let two = f16(params.two);
  let one = f16(params.one);
  let half = f16(params.half);
  var a = vec4<f16>(0.0h, 1.0h, 2.0h, 3.0h) + f16(gid.x & 15u);
  var b = a + 4.0h;
  var c = a + 8.0h;
  var d = a + 12.0h;
  var e = a + 16.0h;
  var f = a + 20.0h;
  var g = a + 24.0h;
  var h = a + 28.0h;
  for (var i = 0u; i < params.steps; i += 8u) {
    a = mulAddHalf(a, two, one); b = mulAddHalf(b, two, one); c = mulAddHalf(c, two, one); d = mulAddHalf(d, two, one);
    a = mulAddHalf(a, half, half); b = mulAddHalf(b, half, half); c = mulAddHalf(c, half, half); d = mulAddHalf(d, half, half);
    a = mulAddHalf(a, two, one); b = mulAddHalf(b, two, one); c = mulAddHalf(c, two, one); d = mulAddHalf(d, two, one);
    a = mulAddHalf(a, half, half); b = mulAddHalf(b, half, half); c = mulAddHalf(c, half, half); d = mulAddHalf(d, half, half);
    a = mulAddHalf(a, two, one); b = mulAddHalf(b, two, one); c = mulAddHalf(c, two, one); d = mulAddHalf(d, two, one);
    a = mulAddHalf(a, half, half); b = mulAddHalf(b, half, half); c = mulAddHalf(c, half, half); d = mulAddHalf(d, half, half);
    a = mulAddHalf(a, two, one); b = mulAddHalf(b, two, one); c = mulAddHalf(c, two, one); d = mulAddHalf(d, two, one);
    a = mulAddHalf(a, half, half); b = mulAddHalf(b, half, half); c = mulAddHalf(c, half, half); d = mulAddHalf(d, half, half);
    if (WIDE) {
      e = mulAddHalf(e, two, one); f = mulAddHalf(f, two, one); g = mulAddHalf(g, two, one); h = mulAddHalf(h, two, one);
      e = mulAddHalf(e, half, half); f = mulAddHalf(f, half, half); g = mulAddHalf(g, half, half); h = mulAddHalf(h, half, half);
      e = mulAddHalf(e, two, one); f = mulAddHalf(f, two, one); g = mulAddHalf(g, two, one); h = mulAddHalf(h, two, one);
      e = mulAddHalf(e, half, half); f = mulAddHalf(f, half, half); g = mulAddHalf(g, half, half); h = mulAddHalf(h, half, half);
      e = mulAddHalf(e, two, one); f = mulAddHalf(f, two, one); g = mulAddHalf(g, two, one); h = mulAddHalf(h, two, one);
      e = mulAddHalf(e, half, half); f = mulAddHalf(f, half, half); g = mulAddHalf(g, half, half); h = mulAddHalf(h, half, half);
      e = mulAddHalf(e, two, one); f = mulAddHalf(f, two, one); g = mulAddHalf(g, two, one); h = mulAddHalf(h, two, one);
      e = mulAddHalf(e, half, half); f = mulAddHalf(f, half, half); g = mulAddHalf(g, half, half); h = mulAddHalf(h, half, half);
    }
  }
  var total = (vec4<f32>(a) + vec4<f32>(b)) + (vec4<f32>(c) + vec4<f32>(d));
  if (WIDE) { total += (vec4<f32>(e) + vec4<f32>(f)) + (vec4<f32>(g) + vec4<f32>(h)); }
  y[gid.x] = total;
}
