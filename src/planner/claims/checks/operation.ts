/** Statements about running it: failures, tests in traffic. */
import { amount, count, one, type Check } from '../check.ts';

const systemRate = amount('tokens/ms', 'tokens of the system', [1e-3, 1e9]);
const replicas = count('replicas');

export const operationChecks: Readonly<Record<string, Check>> = {
  availability: {
    tells: 'time in which the replicas are whole',
    unit: '%',
    formula: 'replica: a^(N/dp); all: a^N; at least one: 1 - (1 - a^(N/dp))^dp',
    inputs: {
      gpuAvailability: amount('%', 'time in which a GPU works', [50, 100], 99.9),
      gpus: count('GPUs'),
      dp: replicas,
    },
    readings: ({ gpuAvailability: a = 100, gpus: n = 1, dp = 1 }) => {
      const replica = (a / 100) ** (n / dp);
      return [
        { condition: 'one replica', value: 100 * replica },
        { condition: 'all replicas', value: 100 * (a / 100) ** n },
        { condition: 'at least one replica', value: 100 * (1 - (1 - replica) ** dp) },
      ];
    },
    beside: ({ gpuAvailability: a = 100, gpus: n = 1 }) => [
      { name: 'chance that some GPU is down', value: 100 * (1 - (a / 100) ** n), unit: '%' },
    ],
  },
  'rate-after-failure': {
    tells: 'rate that is left when one replica fails',
    unit: 'tokens/ms',
    formula: 'system rate (dp - 1) / dp: demand above it queues without bound',
    inputs: { systemTokensPerMs: systemRate, dp: replicas },
    readings: ({ systemTokensPerMs: r = 0, dp = 1 }) => one((r * (dp - 1)) / dp),
    beside: ({ dp = 1 }) => [
      { name: 'utilisation that a failure leaves stable', value: (100 * (dp - 1)) / dp, unit: '%' },
    ],
  },
  'traffic-per-arm': {
    tells: 'traffic of each side of an A/B test, one replica a side, none spare',
    unit: '%',
    formula: '100 / replicas',
    inputs: { dp: replicas },
    readings: ({ dp = 1 }) => one(100 / dp),
  },
  'gpus-at-rate': {
    tells:
      'GPUs that a system rate needs at a rate per GPU: any number does if only the rate per GPU is asked',
    unit: 'GPUs',
    formula: 'system rate / rate per GPU',
    inputs: {
      systemTokensPerMs: systemRate,
      tokensPerMsPerGpu: amount('tokens/ms', 'tokens per GPU', [1e-3, 1e6]),
    },
    readings: ({ systemTokensPerMs: r = 0, tokensPerMsPerGpu: g = 1 }) => one(r / g),
  },
  value: {
    tells: 'a figure that is stated beside one that it must keep',
    unit: '',
    formula: 'the figure itself',
    inputs: { figure: amount('', 'the figure', [-1e18, 1e18]) },
    readings: ({ figure = 0 }) => one(figure),
  },
};
