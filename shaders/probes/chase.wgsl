// y[lane] = where `loads` steps along the cycle of next[] lead from lane mod the cycle's length.
// Grid    one workgroup tells what a load takes, many tell how many loads the adapter passes.
// Memory  a load's address is what the load before it gave, so none can start early; next[] fits into any cache.
// Order   steps of whole numbers: exact.
// Edges   mask + 1 is the length of next[], a power of two; loads is a multiple of 4.

const WG : u32 = 64u;   // spec: lanes per workgroup

struct Params { lanes : u32, loads : u32, mask : u32 }

@group(0) @binding(0) var<storage, read> next : array<u32>;
@group(0) @binding(1) var<storage, read_write> y : array<u32>;   // one per lane
@group(1) @binding(0) var<uniform> params : Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid : vec3<u32>) {
  if (gid.x >= params.lanes) { return; }
  var at = gid.x & params.mask;
  for (var i = 0u; i < params.loads; i += 4u) {
    at = next[at];
    at = next[at];
    at = next[at];
    at = next[at];
  }
  y[gid.x] = at;
}
