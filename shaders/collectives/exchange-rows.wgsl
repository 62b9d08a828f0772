// All-to-all(v) of token rows over one expert-parallel group, with sizes that only the GPU knows.
// Forward: receive[owner(e), receiveStart[e, s] + i] = send[s, start[s, e] + i] for each source s, expert e,
// i < start[s, e+1] - start[s, e]. Backward: the same places, from receive to send.
// send and receive are symmetric arrays: one part of equal size per rank of the stage.
// Grid    x, and z beyond 65,535: rows of the fullest send part, y: sources from firstSource;
//         a lane owns columns lane, lane + WG, ...
// Memory  a binary search per row, then each element once.
// Order   data movement: exact.
// Edges   empty experts, empty sources; rows past a source's total leave at once. Owners hold equal runs of experts.

const WG : u32 = 64u;            // spec: lanes per row
const BACKWARD : bool = false;   // spec: direction

struct Params {
  maxRows : u32,
  firstSource : u32,     // members before it and after numSources of them send nothing
  numSources : u32,
  groupSize : u32,
  firstMember : u32,     // the group's place in the members' list
  width : u32,
  numExperts : u32,
  localExperts : u32,    // experts of one owner
  sendStride : u32,      // elements of one part of send
  receiveStride : u32,   // elements of one part of receive
  startStride : u32,     // words of one part of start
  placeStride : u32,     // words of one part of receiveStart
}

@group(0) @binding(0) var<storage, read> src : array<f32>;
@group(0) @binding(1) var<storage, read> start_SE : array<u32>;          // per rank: [E + 1]
@group(0) @binding(2) var<storage, read> receiveStart : array<u32>;      // per rank: [local E, group size]
@group(0) @binding(3) var<storage, read> members : array<u32>;
@group(0) @binding(4) var<storage, read_write> dst : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group : vec3<u32>,
        @builtin(num_workgroups) groups : vec3<u32>,
        @builtin(local_invocation_index) lane : u32) {
  let row = group.z * groups.x + group.x;
  let member = params.firstSource + group.y;
  let source = members[params.firstMember + member];
  let starts = source * params.startStride;
  if (row >= start_SE[starts + params.numExperts]) { return; }
  // The last expert that starts at or before the row: low is always such a one, high never.
  var low = 0u;
  var high = params.numExperts;
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    if (start_SE[starts + middle] <= row) { low = middle; } else { high = middle; }
  }
  let owner = members[params.firstMember + low / params.localExperts];
  let place = owner * params.placeStride + (low % params.localExperts) * params.groupSize + member;
  let received = receiveStart[place] + row - start_SE[starts + low];
  let inSend = source * params.sendStride + row * params.width;
  let inReceive = owner * params.receiveStride + received * params.width;
  for (var d = lane; d < params.width; d += WG) {
    if (BACKWARD) { dst[inSend + d] = src[inReceive + d]; } else { dst[inReceive + d] = src[inSend + d]; }
  }
}
