// o of each query and head from the parts that its keys were cut into: sum of shrink * sums / sum of shrink * denominator.
// Grid    x: queries, y: heads, z: sequences; a workgroup joins the parts of one: for GPUs.
// Memory  a lane has the ends of one part, then teams of SPAN lanes on its vectors take every TEAMS-th part: reads side by side.
// Order   parts of a team ascending, then teams in theirs: the same bits on every run.
// Edges   parts without a visible key were not written and are not read. A sink joins the denominator here. At most 64 parts.

const WG : u32 = 64u;           // spec: lanes; as many parts at most
const HEAD_VECS : u32 = 16u;    // spec: vec4 of one head, Dh / 4
const SPAN : u32 = 16u;         // spec: a power of two, HEAD_VECS or more, at most WG
const SINKS : bool = false;     // spec: each head has a sink

const TEAMS : u32 = WG / SPAN;

struct Params {
  numHeads : u32,
  causal : u32,        // 1: query i of a sequence sees keys 0 .. kvLen - qLen + i
  maxQueries : u32,    // longest qLen of the batch: the grid's extent
  numSequences : u32,
  window : u32,        // keys that a query sees at most; 0: all
  numParts : u32,
  keysPerPart : u32,
  firstQuery : u32,    // where the grid begins: a dispatch has at most 65,535 workgroups each way
  firstHead : u32,
  firstSequence : u32,
}

@group(0) @binding(0) var<storage, read> parts_THPD : array<vec4<f32>>;  // [sum of qLen, H, parts, Dh + 4]
@group(0) @binding(1) var<storage, read> sequences : array<vec4<u32>>;   // first q row, qLen, kvLen, cache slot
@group(0) @binding(2) var<storage, read_write> o_THD : array<vec4<f32>>; // [sum of qLen, H, Dh]
@group(0) @binding(3) var<storage, read> sinks_H : array<f32>;           // [H]; any buffer without SINKS
@group(1) @binding(0) var<uniform> params : Params;

var<workgroup> ends : array<vec2<f32>, WG>;        // highest score, denominator; then share, and what it adds
var<workgroup> eighths : array<f32, 8>;
var<workgroup> sums : array<vec4<f32>, WG>;

const LOWEST : f32 = -3.4028234663852886e38;   // below every finite score

// Told by its bits: a compiler may take any float for a number.
fn isNaN(v : f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

// A sink's part of the denominator, with the highest score at least the sink: 1 where it is the highest, 0 for -Inf, NaN
// for NaN and Inf, as float64 has it. An adapter's exp need not keep NaN.
fn sinkShare(sink : f32, highest : f32) -> f32 {
  let below = sink - highest;
  return select(select(exp(below), 1.0, sink == highest), below, isNaN(below));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let sequence = sequences[params.firstSequence + group.z];
  let i = params.firstQuery + group.x;
  let h = params.firstHead + group.y;
  if (i >= sequence.y) { return; }
  var numKeys = sequence.z;
  if (params.causal == 1u) { numKeys = sequence.z - sequence.y + i + 1u; }
  if (params.window > 0u) { numKeys = min(numKeys, params.window); }
  let count = (numKeys + params.keysPerPart - 1u) / params.keysPerPart;
  let row = (sequence.x + i) * params.numHeads + h;
  let firstPart = row * params.numParts * (HEAD_VECS + 1u);
  var own = vec2<f32>(LOWEST, 0.0);
  if (lane < count) { own = parts_THPD[firstPart + lane * (HEAD_VECS + 1u) + HEAD_VECS].xy; }
  ends[lane] = own;
  workgroupBarrier();
  // Eight lanes look at every eighth end, then all at what they found. A part's highest is never NaN: its sum is.
  if (lane < 8u) {
    var most = LOWEST;
    // No end is NaN, see above.
    for (var p = lane; p < WG; p += 8u) { most = max(most, ends[p].x); }
    eighths[lane] = most;
  }
  workgroupBarrier();
  var highest = LOWEST;
  // A NaN sink is not the highest, but is NaN in the sum.
  if (SINKS) { highest = max(highest, sinks_H[h]); }
  // None of these is NaN.
  for (var p = 0u; p < 8u; p += 1u) { highest = max(highest, eighths[p]); }
  let share = exp(own.x - highest);
  ends[lane] = vec2<f32>(share, share * own.y);
  workgroupBarrier();
  if (lane < 8u) {
    var some = 0.0;
    for (var p = lane; p < WG; p += 8u) { some += ends[p].y; }
    eighths[lane] = some;
  }
  let column = min(lane % SPAN, HEAD_VECS - 1u);
  var sum = vec4<f32>();
  for (var p = lane / SPAN; p < count; p += TEAMS) {
    sum += ends[p].x * parts_THPD[firstPart + p * (HEAD_VECS + 1u) + column];
  }
  sums[lane] = sum;
  workgroupBarrier();
  if (lane < HEAD_VECS) {
    var denominator = 0.0;
    if (SINKS) { denominator = sinkShare(sinks_H[h], highest); }
    for (var p = 0u; p < 8u; p += 1u) { denominator += eighths[p]; }
    var total = vec4<f32>();
    for (var t = 0u; t < TEAMS; t += 1u) { total += sums[t * SPAN + lane]; }
    o_THD[row * HEAD_VECS + lane] = total / denominator;
  }
}
