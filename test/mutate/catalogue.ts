/** All planted faults by area. */
import { attentionFaults } from './areas/attention.ts';
import { benchFaults } from './areas/bench.ts';
import { checkFaults } from './areas/checks.ts';
import { collectiveFaults } from './areas/collectives.ts';
import { costFaults } from './areas/costs.ts';
import { denseFaults } from './areas/dense.ts';
import { deviceFaults } from './areas/device.ts';
import { expertFaults } from './areas/experts.ts';
import { gatingFaults } from './areas/gating.ts';
import { modelFaults } from './areas/model.ts';
import { compareFaults } from './areas/results/compare.ts';
import { resultFileFaults } from './areas/results/files.ts';
import { reportFaults } from './areas/results/report.ts';
import { profileFaults } from './areas/profile/account.ts';
import { routingFaults } from './areas/routing.ts';
import { runtimeFaults } from './areas/runtime.ts';
import { tuneFaults } from './areas/tune.ts';
import { verdictFaults } from './areas/verdict.ts';
import type { Mutant } from './mutant.ts';

export const catalogue: Readonly<Record<string, readonly Mutant[]>> = {
  attention: attentionFaults,
  bench: benchFaults,
  checks: checkFaults,
  collectives: collectiveFaults,
  costs: costFaults,
  dense: denseFaults,
  device: deviceFaults,
  experts: expertFaults,
  gating: gatingFaults,
  model: modelFaults,
  results: [...compareFaults, ...resultFileFaults, ...reportFaults],
  profile: profileFaults,
  routing: routingFaults,
  runtime: runtimeFaults,
  tune: tuneFaults,
  verdict: verdictFaults,
};
