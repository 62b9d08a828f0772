/** Faults of the measurement: statistics, sampling, clocks, the roofline, rates. */
import { faultsIn, type Mutant } from '../mutant.ts';

export const benchFaults: readonly Mutant[] = [
  ...faultsIn('src/measure/statistics.ts', { tests: ['measure/statistics.test.ts'] }, [
    {
      find: 'median: medianSorted(sorted),',
      replace: 'median: at(sorted, sorted.length >> 1),',
      why: 'the median of an even number of samples is the upper of the middle two',
    },
    {
      find: 'if (below > 0.025) break;',
      replace: 'if (below > 0.05) break;',
      why: 'the interval holds the median in 90 % of cases, not 95',
    },
    {
      find: 'high: at(sorted, sorted.length - 1 - rank),',
      replace: 'high: at(sorted, sorted.length - 1),',
      why: 'the upper end of the interval is the largest sample',
    },
    {
      find: '(summary.high - summary.low) / 2 / Math.abs(summary.median)',
      replace: '(summary.high - summary.low) / Math.abs(summary.median)',
      why: 'the whole width of the interval is taken for half of it',
    },
  ]),
  ...faultsIn(
    'src/measure/sampling.ts',
    {
      tests: ['measure/sampling.test.ts', 'measure/canary-cold.test.ts'],
      only: '^(?!.*(canary reads|cold|copies|compiling|tuned|single name))',
    },
    [
      {
        find: 'const neededNs = wanted.minSteps * grainNs;',
        replace: 'const neededNs = grainNs;',
        why: 'a window may last a single step of the clock',
      },
      {
        find: 'if (ns !== undefined) taken.set(one, ns / one.repeats);',
        replace: 'if (ns !== undefined) taken.set(one, ns);',
        why: 'a sample is the time of a window, not of a run',
      },
      {
        find: 'const firstNs = await window(1);',
        replace: 'const firstNs = 0;',
        why: 'the first run, which compiles, is part of what is measured',
      },
      {
        find: 'const order = round % 2 === 0 ? running : [...running].reverse();',
        replace: 'const order = running;',
        why: 'windows of a round are always taken in the same order',
      },
      {
        find: 'if (taken.size < running.length) voids += 1;',
        replace: 'if (taken.size === 0) voids += 1;',
        why: 'a round in which one reading was void counts for the others',
      },
    ],
  ),
  ...faultsIn('src/measure/clock.ts', { tests: ['bench/stages.test.ts'] }, [
    {
      find: 'if (smallest === undefined || difference < smallest) smallest = difference;',
      replace: 'if (smallest === undefined || difference > smallest) smallest = difference;',
      why: 'the largest difference of readings is called the smallest',
    },
    {
      find: 'divisor = gcd(divisor, difference);',
      replace: 'divisor = difference;',
      why: 'the step of the clock is the last difference',
    },
  ]),
  ...faultsIn('src/bench/ceilings/roofline.ts', { tests: ['bench/roofline.test.ts'] }, [
    {
      find: 'return { share: attainableNs / ns,',
      replace: 'return { share: ns / attainableNs,',
      why: 'the share of the roofline is upside down',
    },
    {
      find: 'return !(share <= 1 + Math.max(TOLERANCE, spread));',
      replace: 'return share > 2 + Math.max(TOLERANCE, spread);',
      why: 'a row at twice the roof passes, and one that is no number',
    },
    {
      find: "name === 'f32 multiply-add')?.value",
      replace: "name === 'f32 multiply-add')?.samples[0]",
      why: 'the peak is its first sample, not its best',
    },
  ]),
  ...faultsIn('src/bench/model/throughput.ts', { tests: ['bench/stages.test.ts'] }, [
    {
      find: '.total) / (ns / 1e9);',
      replace: '.total) / (ns / 1e12);',
      why: 'useful FLOP/s are a thousand times too many',
    },
    {
      find: 'return tokens / (ns / NS_PER_MS);',
      replace: 'return tokens / (ns / NS_PER_MS / 1000);',
      why: 'tokens per second are called tokens per millisecond',
    },
  ]),
];
