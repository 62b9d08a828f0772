/** Statements about routing: capacity, overflow, imbalance. Zipf exponents name a skew; 0 is uniform. */
import { maxOf } from '../../../core/math.ts';
import { amount, count, one, type Check, type Values } from '../check.ts';
import { groupedImbalance, overflowShare, shares, zipfWeights } from '../skew.ts';

/** Sums over experts and their rows take a second beyond. A guess. */
const MOST_EXPERTS = 4096;
const skewed = {
  experts: { ...count('routed experts of a layer'), range: [1, MOST_EXPERTS] as const },
  topK: count('experts per token', 2),
  zipf: amount('', "Zipf exponent of the experts' popularity; 0 is uniform", [0, 4], 0.8),
};

const weightsOf = ({ experts: E = 1, zipf: s = 0 }: Values): number[] => zipfWeights(E, s);

export const routingChecks: Readonly<Record<string, Check>> = {
  'capacity-overflow': {
    tells: 'rows beyond the capacity of their expert',
    unit: '%',
    formula: 'E[(X - c)+] over binomial X, c = ceil(T k cf / E); top-k without replacement',
    inputs: {
      ...skewed,
      tokens: { ...count('tokens of a batch', 1024), range: [1, 65536] },
      capacityFactor: amount('', 'capacity factor cf', [0.01, 100], 1.25),
    },
    readings: (x) =>
      one(
        100 *
          overflowShare(shares(weightsOf(x), x.topK ?? 1), x.tokens ?? 1, x.topK ?? 1, x.capacityFactor ?? 1),
      ),
  },
  'expert-imbalance': {
    tells: 'rows of the hottest rank over the mean',
    unit: 'max/mean',
    formula:
      'experts dealt to ep ranks, the best equal grouping found; top-k without replacement, or raw weights as EPLB takes them',
    inputs: { ...skewed, ep: count('expert-parallel ranks of a stage') },
    readings: (x) => {
      const of = (loads: readonly number[]): number =>
        groupedImbalance(loads, Math.min(x.ep ?? 1, loads.length));
      return [
        { condition: 'top-k without replacement', value: of(shares(weightsOf(x), x.topK ?? 1)) },
        { condition: 'raw weights', value: of(weightsOf(x)) },
      ];
    },
    beside: (x) => {
      const loads = shares(weightsOf(x), x.topK ?? 1);
      return [2, 4, 8, 16]
        .filter((ep) => loads.length % ep === 0)
        .map((ep) => ({ name: `EP=${ep}`, value: groupedImbalance(loads, ep), unit: 'max/mean' }));
    },
  },
  'hottest-expert': {
    tells: 'rows of the hottest expert over the mean',
    unit: 'max/mean',
    formula: 'E times the largest share',
    inputs: skewed,
    readings: (x) => [
      {
        condition: 'top-k without replacement',
        value: (x.experts ?? 1) * maxOf(shares(weightsOf(x), x.topK ?? 1)),
      },
      { condition: 'raw weights', value: (x.experts ?? 1) * maxOf(weightsOf(x)) },
    ],
  },
  'placement-gap': {
    tells: 'a placement of experts beside the best one found',
    unit: '% above',
    formula: '100 (achieved / best - 1), both as max/mean',
    inputs: {
      achieved: amount('max/mean', 'of the placement', [1, 1e4]),
      best: amount('max/mean', 'of the best', [1, 1e4]),
    },
    readings: ({ achieved = 1, best = 1 }) => one(100 * (achieved / best - 1)),
  },
};
