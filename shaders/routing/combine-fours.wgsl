// y[t] = residual[t] + sum over k of score[t,k] * expertOut[slot[t,k]], four columns a lane.
// Grid    x: blocks of 4 WG columns, y and z: tokens, spread over z beyond 65,535.
// Memory  reads K rows of D, writes one; slots and scores are read once per workgroup, and rows of a token side by side.
// Order   k = 0 .. K-1 in every lane, the residual last: the same bits on every run.
// Edges   a dropped slot holds NO_SLOT and adds nothing. The width is a multiple of 4.

const WG : u32 = 64u;               // spec: lanes
const TOP_K : u32 = 8u;             // spec: choices of a token
const RESIDUAL : bool = false;      // spec: add the residual
const NO_SLOT : u32 = 0xffffffffu;

struct Params { numTokens : u32, width : u32, topK : u32 }   // topK is compiled in

@group(0) @binding(0) var<storage, read> expertOut_RD : array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> slot_TK : array<u32>;
@group(0) @binding(2) var<storage, read> scores_TK : array<f32>;
@group(0) @binding(3) var<storage, read> residual_TD : array<vec4<f32>>;   // bound to expertOut when absent
@group(0) @binding(4) var<storage, read_write> y_TD : array<vec4<f32>>;
@group(1) @binding(0) var<uniform> params : Params;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let t = group.z * groups.y + group.y;
  let vecs = params.width / 4u;
  let d = group.x * WG + lane;
  if (t >= params.numTokens || d >= vecs) { return; }
  var rows : array<vec4<f32>, TOP_K>;
  var slots : array<u32, TOP_K>;
  for (var k = 0u; k < TOP_K; k += 1u) { slots[k] = slot_TK[t * TOP_K + k]; }
  // All are under way before the first is used.
  for (var k = 0u; k < TOP_K; k += 1u) {
    rows[k] = expertOut_RD[select(slots[k], 0u, slots[k] == NO_SLOT) * vecs + d];
  }
  var total = vec4<f32>();
  for (var k = 0u; k < TOP_K; k += 1u) {
    // Selected away: 0 * Inf is NaN.
    let more = scores_TK[t * TOP_K + k] * rows[k];
    total += select(more, vec4<f32>(), slots[k] == NO_SLOT);
  }
  if (RESIDUAL) { total += residual_TD[t * vecs + d]; }
  y_TD[t * vecs + d] = total;
}
