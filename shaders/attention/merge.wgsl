// o of each query and head from the parts that its keys were cut into: sum of shrink * sums / sum of shrink * denominator.
// Grid    x: queries, y: heads, z: sequences; lanes own vec4 columns lane, lane + WG, ...
// Memory  a part's sums, highest score and denominator once per lane; no workgroup storage, so no barrier.
// Order   parts ascending: the same bits on every run.
// Edges   parts without a visible key were not written and are not read. A sink joins the denominator here.

const WG : u32 = 16u;           // spec: lanes
const HEAD_VECS : u32 = 16u;    // spec: vec4 of one head, Dh / 4
const SINKS : bool = false;     // spec: each head has a sink

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
  var highest = LOWEST;
  // A NaN sink is not the highest, but is NaN in the sum.
  if (SINKS) { highest = max(highest, sinks_H[h]); }
  for (var p = 0u; p < count; p += 1u) {
    // A part's highest is never NaN: its sum is.
    highest = max(highest, parts_THPD[firstPart + p * (HEAD_VECS + 1u) + HEAD_VECS].x);
  }
  for (var column = lane; column < HEAD_VECS; column += WG) {
    var denominator = 0.0;
    if (SINKS) { denominator = sinkShare(sinks_H[h], highest); }
    var total = vec4<f32>();
    for (var p = 0u; p < count; p += 1u) {
      let at = firstPart + p * (HEAD_VECS + 1u);
      let seen = parts_THPD[at + HEAD_VECS];
      let shrink = exp(seen.x - highest);
      denominator += shrink * seen.y;
      total += shrink * parts_THPD[at + column];
    }
    o_THD[row * HEAD_VECS + column] = total / denominator;
  }
}
