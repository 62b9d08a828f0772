/** Loads and copies: storage of several sizes, and the memory of a workgroup. */
import { at, range } from '../../core/math.ts';
import { seededRandom } from '../../core/random.ts';
import type { GpuBuffer } from '../../gpu/buffer.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { chaseProbe, copyProbe, readProbe, workgroupProbe } from '../../kernels/probes.ts';
import { once } from '../../core/async/once.ts';
import { firstDifference, type Probe, type ProbeScale } from './probe.ts';

const VEC4_BYTES = 16;
/** A prime number of vec4: no stride of a power of two meets the same value again. */
const PERIOD_FLOATS = 4 * 65521;
/** Elements of a large result that are looked at: one in a prime number, and the last. */
const MOST_COMPARED = 1 << 17;
const LOOK_AT = 61;

/** Whole numbers below 8, so that sums of a million are exact in f32. */
const pattern = once(() => {
  const values = new Float32Array(PERIOD_FLOATS);
  for (let i = 0; i < PERIOD_FLOATS; i++) values[i] = (Math.imul(i, 0x9e3779b1) >>> 13) & 7;
  return values;
});

/** A buffer full of the pattern: one piece is sent, the rest is copied on the device. */
function patterned(gpu: Gpu, label: string, bytes: number, data: Float32Array): GpuBuffer {
  const buffer = gpu.buffer(label, bytes);
  if (bytes <= data.byteLength) {
    gpu.write(buffer, data.subarray(0, bytes / data.BYTES_PER_ELEMENT));
    return buffer;
  }
  const piece = gpu.upload('probe/pattern', data);
  const commands = gpu.commands('probe/pattern');
  for (let offset = 0; offset < bytes; offset += data.byteLength) {
    const length = Math.min(data.byteLength, bytes - offset);
    commands.copy(piece.view(0, length), buffer.view(offset, length));
  }
  commands.submit();
  piece.destroy();
  return buffer;
}

function stride(count: number): number {
  return count > MOST_COMPARED ? LOOK_AT : 1;
}

/** The same working set read over and over; the largest once. */
export function readProbes({ rowWidth: WG, perLane: loads, readBytes, footprints }: ProbeScale): Probe[] {
  return footprints.map((footprintBytes) => ({
    name: 'storage read',
    footprintBytes,
    prepare: async (gpu) => {
      const kernel = await gpu.kernel(readProbe, { WG });
      const data = pattern();
      const x = patterned(gpu, 'probe/read', footprintBytes, data);
      const work = Math.max(footprintBytes, readBytes);
      const lanes = work / (VEC4_BYTES * loads);
      const y = gpu.elements('probe/sums', 4 * lanes);
      const count = footprintBytes / VEC4_BYTES;
      const sumOf = (i: number): number => {
        const lane = Math.floor(i / 4);
        const first = Math.floor(lane / WG) * WG * loads + (lane % WG);
        let sum = 0;
        for (let n = 0; n < loads; n++) {
          sum += at(data, (4 * ((first + n * WG) % count) + (i % 4)) % PERIOD_FLOATS);
        }
        return sum;
      };
      return {
        work,
        record: (commands) => commands.dispatch(kernel, { lanes, loads, mask: count - 1 }, { x, y }),
        verify: async () => {
          const sums = (await gpu.read(y, [4 * lanes])).data;
          return firstDifference(sums, sumOf, stride(sums.length * loads));
        },
        destroy: () => [x, y].forEach((buffer) => buffer.destroy()),
      };
    },
  }));
}

/** One half of the working set to the other, once per dispatch, so only the larger sets: bytes read and bytes written both count. */
export function copyProbes({ rowWidth: WG, perLane, footprints }: ProbeScale): Probe[] {
  return footprints.slice(-2).map((footprintBytes) => ({
    name: 'storage copy',
    footprintBytes,
    prepare: async (gpu) => {
      const kernel = await gpu.kernel(copyProbe, { WG });
      const data = pattern();
      const half = footprintBytes / 2;
      const x = patterned(gpu, 'probe/copy from', half, data);
      const y = gpu.buffer('probe/copy to', half);
      const count = half / VEC4_BYTES;
      // Few vec4 per lane when there are few, so that there are workgroups for every core.
      const params = { count, perLane: Math.min(perLane, Math.max(4, count / (64 * WG))) };
      return {
        work: footprintBytes,
        record: (commands) => commands.dispatch(kernel, params, { x, y }),
        verify: async () => {
          const got = (await gpu.read(y, [half / data.BYTES_PER_ELEMENT])).data;
          return firstDifference(got, (i) => at(data, i % PERIOD_FLOATS), stride(got.length));
        },
        destroy: () => [x, y].forEach((buffer) => buffer.destroy()),
      };
    },
  }));
}

/** Length of the cycle that dependent loads follow: 4 KiB fit into any first-level cache. */
const CYCLE = 1024;

/** Dependent loads, of as many lanes as there are and of one alone. */
export function chaseProbes({ lanes, width, loads, chainLoads }: ProbeScale): Probe[] {
  const chase = (name: 'storage loads' | 'loads of one lane', numLanes: number, perLane: number): Probe => ({
    name,
    footprintBytes: 4 * CYCLE,
    prepare: async (gpu) => {
      const kernel = await gpu.kernel(chaseProbe, { WG: numLanes === 1 ? 1 : width });
      const visited = oneCycle(CYCLE);
      const following = new Uint32Array(CYCLE);
      const position = new Uint32Array(CYCLE);
      visited.forEach((place, i) => {
        following[place] = at(visited, (i + 1) % CYCLE);
        position[place] = i;
      });
      const next = gpu.upload('probe/cycle', following);
      const y = gpu.elements('probe/ends', numLanes, 'u32');
      const params = { lanes: numLanes, loads: perLane, mask: CYCLE - 1 };
      return {
        work: numLanes * perLane,
        record: (commands) => commands.dispatch(kernel, params, { next, y }),
        verify: async () => {
          const ends = (await gpu.read(y, [numLanes], 'u32')).data;
          return firstDifference(ends, (i) => at(visited, (at(position, i % CYCLE) + perLane) % CYCLE));
        },
        destroy: () => [next, y].forEach((buffer) => buffer.destroy()),
      };
    },
  });
  // Not a multiple of the cycle, or every lane would end where it began.
  return [chase('storage loads', lanes, loads + 4), chase('loads of one lane', 1, chainLoads + 4)];
}

/** All places in a random order. */
function oneCycle(length: number): number[] {
  const random = seededRandom(length);
  const order = range(length);
  for (let i = length - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [order[i], order[j]] = [at(order, j), at(order, i)];
  }
  return order;
}

/** vec4 of workgroup storage: 4 KiB, of the 16 KiB that every adapter has. */
const SLOTS = 256;

export function workgroupProbes({ lanes, width: WG, loads }: ProbeScale): Probe[] {
  return [
    {
      name: 'workgroup memory',
      footprintBytes: VEC4_BYTES * SLOTS,
      prepare: async (gpu) => {
        const kernel = await gpu.kernel(workgroupProbe, { WG, SLOTS });
        const y = gpu.elements('probe/workgroup', 4 * lanes);
        // One round less than a whole number of turns, so that the sum depends on where it began.
        const params = { lanes, loads: loads - 4 };
        const sumOf = (i: number): number => {
          const first = Math.floor(i / 4) % WG;
          let sum = 0;
          for (let n = 0; n < params.loads; n++) sum += (i % 4) + (((first + n) % SLOTS) & 7);
          return sum;
        };
        const wanted = range(4 * WG).map(sumOf);
        return {
          work: VEC4_BYTES * lanes * params.loads,
          record: (commands) => commands.dispatch(kernel, params, { y }),
          verify: async () => {
            const sums = (await gpu.read(y, [4 * lanes])).data;
            return firstDifference(sums, (i) => at(wanted, i % wanted.length));
          },
          destroy: () => y.destroy(),
        };
      },
    },
  ];
}
