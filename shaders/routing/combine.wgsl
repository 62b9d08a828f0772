// y[t] = residual[t] + sum over k of score[t,k] * expertOut[slot[t,k]].
// Grid    a workgroup per token, spread over y beyond 65,535; a lane owns columns lane, lane + WG, ...
// Memory  reads K rows of D, writes one; no workgroup storage, so no barrier.
// Order   k = 0 .. K-1 in every lane, the residual last: the same bits on every run.
// Edges   a dropped slot holds NO_SLOT and adds nothing.

const WG : u32 = 64u;               // spec: lanes per token
const RESIDUAL : bool = false;      // spec: add the residual
const NO_SLOT : u32 = 0xffffffffu;

struct Params { numTokens : u32, width : u32, topK : u32 }

@group(0) @binding(0) var<storage, read> expertOut_RD : array<f32>;
@group(0) @binding(1) var<storage, read> slot_TK : array<u32>;
@group(0) @binding(2) var<storage, read> scores_TK : array<f32>;
@group(0) @binding(3) var<storage, read> residual_TD : array<f32>;   // bound to expertOut when absent
@group(0) @binding(4) var<storage, read_write> y_TD : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let t = group.y * groups.x + group.x;
  if (t >= params.numTokens) { return; }
  for (var d = lane; d < params.width; d += WG) {
    var total = 0.0;
    for (var k = 0u; k < params.topK; k += 1u) {
      let slot = slot_TK[t * params.topK + k];
      if (slot != NO_SLOT) { total += scores_TK[t * params.topK + k] * expertOut_RD[slot * params.width + d]; }
    }
    if (RESIDUAL) { total += residual_TD[t * params.width + d]; }
    y_TD[t * params.width + d] = total;
  }
}
