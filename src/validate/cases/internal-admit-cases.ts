/** Admissions that show each policy, and the bias that follows a load. */
import { at, range, sum } from '../../core/math.ts';
import { prepareBiasUpdate } from '../../kernels/routing/bias.ts';
import { updatedBias } from '../../routing/balance/bias.ts';
import type { CapacityRule } from '../../routing/capacity.ts';
import { f32Tensor } from '../../tensor/tensor.ts';
import type { Maker } from '../draw/maker.ts';
import { admission, type BatchSizes, randomBatch } from './internal-admit.ts';
import type { Internal, InternalCase } from './internal-case.ts';

const megatron = (factor: number, scope: CapacityRule['scope']): CapacityRule => ({
  convention: 'megatron',
  factor,
  scope,
});
const some = { numExperts: 7, topK: 2, numRanks: 3, tokens: 40, replicas: 4 };
const batch =
  (sizes: Partial<BatchSizes> & Pick<BatchSizes, 'policy'>): InternalCase =>
  (make) =>
    admission(randomBatch(make.random, { ...some, ...sizes }));

/** The rows of each rank in two micro-batches of a step; the last rank has no tokens and counts of long ago. */
function bias(make: Maker, experts: number, ranks: number): Internal {
  const rate = 2 ** -10;
  const stride = experts + 5;
  const start = make.filled([experts], () => make.random.integer(64) / 2 ** 10);
  const loads = range(2).map(() =>
    Uint32Array.from({ length: ranks * stride }, () => 1000 + make.random.integer(5)),
  );
  const tokens = Uint32Array.from(range(ranks).flatMap((rank) => [rank < ranks - 1 ? 3 : 0, 9, 9, 9]));
  const load = range(experts).map((e) =>
    sum(loads.flatMap((words) => range(ranks - 1).map((rank) => at(words, rank * stride + e)))),
  );
  return {
    expected: {
      bias: { values: updatedBias([...start.data], load, rate), shape: [experts] },
      load: { values: new Float64Array(experts), shape: [experts] },
    },
    bytes: 4 * ranks * experts,
    prepare: async (space) => {
      const kernel = await prepareBiasUpdate(space.gpu, experts, rate);
      const given = space.activation('bias given', f32Tensor(start.shape, Float32Array.from(start.data)));
      const works = loads.map((words, i) => ({ buffer: space.integers(`work ${i}`, words), stride }));
      const t = {
        loads: space.integers('tokens', tokens),
        load: space.output('load', [experts], 'u32'),
        bias: space.output('bias', [experts], 'f32'),
      };
      return (commands) => {
        commands.copy(given, t.bias, 4 * experts);
        commands.clear(t.load.view(0, 4 * experts));
        works.forEach((work, i) => kernel.record(commands, ranks, i === works.length - 1, { ...t, work }));
      };
    },
  };
}

export const admitCases: Readonly<Record<string, InternalCase>> = {
  'admit, replicas without a capacity': batch({ policy: 'dropless' }),
  'admit, by position of each source': batch({ policy: 'drop-position', capacity: megatron(0.75, 'rank') }),
  'admit, scores that are no numbers': batch({
    ...{ policy: 'drop-position', capacity: megatron(0.75, 'rank'), isEndless: true },
  }),
  'admit, by position of all': batch({ policy: 'drop-position', capacity: megatron(0.75, 'global') }),
  'admit, by score': batch({ policy: 'drop-score', capacity: megatron(0.5, 'global'), replicas: 5 }),
  'admit, next best experts': batch({ policy: 'next-best', capacity: megatron(1, 'rank') }),
  'admit, spill to replicas': batch({ policy: 'spill', capacity: megatron(0.6, 'global'), replicas: 9 }),
  'bias of a load': (make) => bias(make, 100, 3),
};
