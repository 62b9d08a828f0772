// The bias of a router without an auxiliary loss (DeepSeek-V3, arXiv 2412.19437, 2.1.2): rows of every expert are added up over
// ranks and micro-batches, and after the last of a step bias[e] += rate * sign(mean load - load[e]).
// Example: loads [4, 1, 1], rate 0.5 -> bias [-0.5, 0.5, 0.5].
// Grid    one workgroup; a lane owns experts lane, lane + WG, ...
// Memory  a word per rank and expert is read.
// Order   loads are integers: exact. A bias is changed by one addition a step.
// Edges   equal loads change nothing, nor does a step without rows; ranks without tokens have no counts.

const WG : u32 = 64u;   // spec: lanes

struct Params { numExperts : u32, numRanks : u32, workStride : u32, last : u32, rate : f32 }

@group(0) @binding(0) var<storage, read> loads_S4 : array<vec4<u32>>;   // per rank: tokens, ...
@group(0) @binding(1) var<storage, read> work : array<u32>;             // per rank: [E] rows, ...
@group(0) @binding(2) var<storage, read_write> load_E : array<u32>;     // of the micro-batches before; 0 after the last
@group(0) @binding(3) var<storage, read_write> bias_E : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> partial : array<u32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane : u32) {
  var own = 0u;
  for (var e = lane; e < params.numExperts; e += WG) {
    var load = load_E[e];
    for (var rank = 0u; rank < params.numRanks; rank += 1u) {
      if (loads_S4[rank].x > 0u) { load += work[rank * params.workStride + e]; }
    }
    load_E[e] = load;
    own += load;
  }
  partial[lane] = own;
  workgroupBarrier();
  if (params.last == 0u) { return; }
  var all = 0u;
  for (var other = 0u; other < WG; other += 1u) { all += partial[other]; }
  for (var e = lane; e < params.numExperts; e += WG) {
    let load = load_E[e] * params.numExperts;
    if (load < all) { bias_E[e] += params.rate; }
    if (load > all) { bias_E[e] -= params.rate; }
    load_E[e] = 0u;
  }
}
