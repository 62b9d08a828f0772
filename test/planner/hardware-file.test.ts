/** Hardware of a file: what it gives, what it is like, and what is wrong with it. */
import { expect, test } from 'vitest';
import { hardwareNamed } from '../../src/hardware/profiles/named.ts';
import { modelNamed } from '../../src/planner/models/named.ts';
import { readHardware } from '../../src/planner/project/hardware-file.ts';
import { regionOf } from '../../src/planner/project/region.ts';

const read = (value: unknown) => readHardware(new TextEncoder().encode(JSON.stringify(value)), 'mine.json');

test('figures that are given replace those of the hardware that it is like, and nothing covers it', () => {
  const like = hardwareNamed('h100-sxm');
  const mine = read({
    name: 'mine',
    like: 'H100-SXM',
    memory: { gb: 64 },
    node: { gpus: 4 },
    peakTflops: { fp8: 900 },
  });
  expect(mine).toMatchObject({
    ...{ name: 'mine', architecture: like.architecture, multiprocessors: like.multiprocessors },
    memory: { gb: 64, gbPerS: like.memory.gbPerS },
    node: { gpus: 4, gbPerS: like.node.gbPerS },
    peakTflops: { ...like.peakTflops, fp8: 900 },
  });
  const placement = { attnTp: 8, attnDp: 1, pp: 1, moeTp: 1, ep: 8, replicas: 1, gpusPerNode: 8 };
  expect(regionOf(modelNamed('mixtral-8x7b'), like, placement).covered).toBe(true);
  expect(regionOf(modelNamed('mixtral-8x7b'), mine, placement)).toEqual({
    region: 'none covers this: mine is hardware of a file',
    covered: false,
    kind: 'mixture',
    spread: 'unnamed',
  });
  // What programs see of the other memory is not known; of its own it is.
  expect(mine.memory.mib).toBeUndefined();
  expect(like.memory.mib).toBe(81559);
});

test.each([
  [{ name: 'a', like: 'h100', memroy: {} }, /has "memroy", which there is not \(did you mean "memory"\?\)/],
  [{ name: 'a', like: 'h100', memory: { gbs: 4 } }, /"memory" has "gbs".*did you mean "gb"/],
  [{ name: 'a', like: 'h100', node: { gbPerS: -4 } }, /node\.gbPerS: Invalid value.*>=/],
  [{ name: 'a', like: 'h100', memory: 5 }, /memory: Invalid type/],
  [{ name: 'a' }, /like: Invalid/],
  [{ name: 'a', like: 'h1oo' }, /there is no hardware "h1oo"/],
  [[], /mine\.json/],
])('%j', (value, message) => {
  expect(() => read(value)).toThrow(message);
});
