/** All planted faults by area. */
import { benchFaults } from './areas/bench.ts';
import { costFaults } from './areas/costs.ts';
import { deviceFaults } from './areas/device.ts';
import type { Mutant } from './mutant.ts';

export const catalogue: Readonly<Record<string, readonly Mutant[]>> = {
  bench: benchFaults,
  costs: costFaults,
  device: deviceFaults,
};
