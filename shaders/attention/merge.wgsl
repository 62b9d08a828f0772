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
}

@group(0) @binding(0) var<storage, read> parts_THPD : array<vec4<f32>>;  // [sum of qLen, H, parts, Dh + 4]
@group(0) @binding(1) var<storage, read> sequences : array<vec4<u32>>;   // first q row, qLen, kvLen, cache slot
@group(0) @binding(2) var<storage, read_write> o_THD : array<vec4<f32>>; // [sum of qLen, H, Dh]
@group(0) @binding(3) var<storage, read> sinks_H : array<f32>;           // [H]; any buffer without SINKS
@group(1) @binding(0) var<uniform> params : Params;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) lane : u32) {
  let sequence = sequences[group.z];
  let i = group.x;
  if (i >= sequence.y) { return; }
  var numKeys = sequence.z;
  if (params.causal == 1u) { numKeys = sequence.z - sequence.y + i + 1u; }
  if (params.window > 0u) { numKeys = min(numKeys, params.window); }
  let count = (numKeys + params.keysPerPart - 1u) / params.keysPerPart;
  let row = (sequence.x + i) * params.numHeads + group.y;
  let firstPart = row * params.numParts * (HEAD_VECS + 1u);
  var highest = -3.4e38;
  if (SINKS) { highest = max(highest, sinks_H[group.y]); }
  for (var p = 0u; p < count; p += 1u) {
    highest = max(highest, parts_THPD[firstPart + p * (HEAD_VECS + 1u) + HEAD_VECS].x);
  }
  for (var column = lane; column < HEAD_VECS; column += WG) {
    var denominator = 0.0;
    if (SINKS) { denominator = exp(sinks_H[group.y] - highest); }
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
