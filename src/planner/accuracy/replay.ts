/** A recorded run of a server, request by request, against its projection: nothing of it went into any fit. */
import { at, sum } from '../../core/math.ts';
import { quantileOf, type RegionAccuracy } from '../../hardware/curves/accuracy.ts';
import { hardwareNamed } from '../../hardware/profiles/named.ts';
import { modelNamed } from '../models/named.ts';
import { project } from '../project/project.ts';
import { SPREAD } from '../serving/figures.ts';
import { FRAMEWORK } from '../serving/framework.ts';
import { REPLAY } from './replay-run.ts';

/** As the run's server was started. */
const SERVER = { maxSequences: 128, maxTokens: 2048 } as const;
const ALONE = { attnTp: 1, attnDp: 1, pp: 1, moeTp: 1, ep: 1, replicas: 1, gpusPerNode: 8 } as const;

/** ms. */
interface Times {
  readonly ttft: number;
  readonly tpot: number;
  readonly latency: number;
}

const timesOf = (arrivalS: number, firstS: number, lastS: number, output: number): Times => ({
  ttft: (firstS - arrivalS) * 1e3,
  tpot: ((lastS - firstS) * 1e3) / Math.max(1, output - 1),
  latency: (lastS - arrivalS) * 1e3,
});

/** The error of each mean as the median, and the ninetieth percentile of single requests. @param part of a region's name. */
export function replayAccuracy(part = ''): { overall: RegionAccuracy[]; regions: RegionAccuracy[] } {
  const name = 'replay rtx_pro_6000_server vllm bf16 llama-3.1-8b';
  if (!name.includes(part.toLowerCase())) return { overall: [], regions: [] };
  const lines = REPLAY.split(';').map((line) => line.split(' ').map(Number));
  const { simulation } = project({
    model: modelNamed('llama-3.1-8b'),
    hardware: hardwareNamed('rtx_pro_6000_server'),
    placement: ALONE,
    precision: 'bf16',
    framework: { ...FRAMEWORK.vllm, maxTokens: SERVER.maxTokens },
    maxSequences: SERVER.maxSequences,
    routing: { kind: 'uniform' },
    workload: {
      kind: 'open',
      requests: lines.map(([arrivalS = 0, input = 1, output = 1]) => ({ arrivalS, input, output })),
    },
  });
  const measured = lines.map(([arrival = 0, , output = 1, first = 0, last = 0]) =>
    timesOf(arrival, first, last, output),
  );
  const projected = simulation.requests.map(({ arrivalUs, firstUs, lastUs, output }) =>
    timesOf(arrivalUs / 1e6, firstUs / 1e6, lastUs / 1e6, output),
  );
  const mean = (all: readonly Times[], of: keyof Times): number =>
    sum(all.map((one) => one[of])) / all.length;
  const regions = (['tpot', 'latency', 'ttft'] as const).map((of): RegionAccuracy => {
    const [low, high] = SPREAD.named.dense[of === 'ttft' ? 'ttft' : 'tpot'];
    const ratios = measured.map((one, i) => one[of] / Math.max(1e-9, at(projected, i)[of]));
    const within = ratios.filter((ratio) => ratio >= low && ratio <= high).length;
    return {
      operation: `replay, mean ${of === 'latency' ? of : of.toUpperCase()}`,
      ...{ hardware: 'rtx_pro_6000_server', kind: 'vllm bf16', model: 'llama-3.1-8b', layout: '' },
      leftOut: 'a run of 300 requests: error of the mean, and p90 of single ones',
      rows: ratios.length,
      median: Math.abs(mean(projected, of) / mean(measured, of) - 1),
      p90: quantileOf(
        ratios.map((ratio) => Math.abs(1 / ratio - 1)),
        0.9,
      ),
      covered: within / ratios.length,
      noise: null,
    };
  });
  return { overall: regions, regions };
}
