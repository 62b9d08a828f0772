// squares[t] = the sums of squares of the query and of the key columns of a joint projection row [q | k | v].
// Grid    a workgroup per (row, q or k), spread over y beyond 65,535; a lane owns columns lane, lane + WG, ...
// Memory  reads each q and k element once; one partial sum per lane in workgroup storage.
// Order   columns ascending per lane, then a tree of fixed shape: the same bits on every run.
// Edges   any width. Keys that several ranks hold count once over all of them: each takes `keyShare` of its sum.

const WG : u32 = 64u;           // spec: lanes per sum, a power of two

struct Params { numRows : u32, queryWidth : u32, keyWidth : u32, keyShare : f32 }

@group(0) @binding(0) var<storage, read> qkv_TC : array<f32>;             // C = queryWidth + 2 keyWidth
@group(0) @binding(1) var<storage, read_write> squares_T2 : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> partial : array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let index = group.y * groups.x + group.x;
  if (index >= 2u * params.numRows) { return; }
  let isKey = (index & 1u) == 1u;
  let width = select(params.queryWidth, params.keyWidth, isKey);
  let first = (index / 2u) * (params.queryWidth + 2u * params.keyWidth) + select(0u, params.queryWidth, isKey);
  var squares = 0.0;
  for (var d = lane; d < width; d += WG) { squares += qkv_TC[first + d] * qkv_TC[first + d]; }
  partial[lane] = squares;
  workgroupBarrier();
  for (var step = WG / 2u; step > 0u; step /= 2u) {
    if (lane < step) { partial[lane] += partial[lane + step]; }
    workgroupBarrier();
  }
  if (lane == 0u) { squares_T2[index] = partial[0] * select(1.0, params.keyShare, isKey); }
}
