/** Faults of the tuner: what beats what, what is near enough, what a cache may say. And of what is printed. */
import { faultsIn, type Mutant } from '../mutant.ts';

const decide = { tests: ['tune/decide.test.ts'] };
const lookup = { tests: ['tune/lookup.test.ts', 'tune/proven.test.ts'] };
const cache = { tests: ['tune/cache.test.ts'] };

export const tuneFaults: readonly Mutant[] = [
  ...faultsIn('src/tune/decide.ts', decide, [
    {
      find: '1 - ratio(candidate, own) > spread',
      replace: '1 - ratio(candidate, own) > 0',
      why: 'a gain within the spread counts',
    },
    {
      find: "if (high < 1) return 'faster';",
      replace: "if (low < 1) return 'faster';",
      why: 'a ratio whose interval holds 1 counts as faster',
    },
    { find: 'at(a, i) / at(b, i)', replace: 'at(b, i) / at(a, i)', why: 'ratios are upside down' },
    {
      find: 'Math.max(high - 1, 1 - low, 0)',
      replace: 'Math.max(high - 1, 0)',
      why: 'a second series that is slower is no spread',
    },
    {
      find: 'const step = grainNs / Math.min(a.repeats, b.repeats);',
      replace: 'const step = 0 * grainNs;',
      why: 'the step of the clock does not matter',
    },
    {
      find: 'better.find((e) => e === first ||',
      replace: 'better.find((e) => e !== first ||',
      why: 'of several the family prefers, the fastest does not count',
    },
  ]),
  ...faultsIn('src/tune/lookup.ts', lookup, [
    {
      find: 'const proven = used.some((point) => isProven(point, name, defaultName));',
      replace: 'const proven = used.length > 0;',
      why: 'a choice that was proven nowhere is taken',
    },
    {
      find: 'codes.get(e.variant) === e.code',
      replace: 'codes.has(e.variant)',
      why: 'times of another text of a shader count',
    },
    {
      find: '!(1 - ns / own > spread)',
      replace: '!(1 - ns / own > 0)',
      why: 'a predicted gain within the spread counts',
    },
    {
      find: 'const spread = maxOf(used.map((point) => point.spread));',
      replace: 'const spread = Math.min(...used.map((point) => point.spread));',
      why: 'the spread of the calmest neighbour counts',
    },
  ]),
  ...faultsIn('src/tune/interpolate.ts', lookup, [
    {
      find: 'Math.log(REACH),',
      replace: 'Math.log(8 * REACH),',
      why: 'shapes far from all that was measured are advised on',
    },
    {
      find: 'const share = distance(below, key) / distance(below, above);',
      replace: 'const share = 1 - distance(below, key) / distance(below, above);',
      why: 'the farther of two shapes counts more',
    },
  ]),
  ...faultsIn('src/tune/shape-key.ts', lookup, [
    {
      find: 'return a.family === b.family && a.kind === b.kind;',
      replace: 'return a.family === b.family;',
      why: 'settings do not part shapes',
    },
  ]),
  ...faultsIn('src/tune/cache.ts', cache, [
    {
      find: 'if (adapter.driver !== facts.driver) {',
      replace: "if (adapter.driver === '') {",
      why: 'times of another driver are used',
    },
    {
      find: 'if (adapter.name !== facts.name)',
      replace: "if (adapter.name === '')",
      why: 'times of another adapter are used',
    },
    {
      find: 'choice === null || evidence.some(({ variant }) => variant === choice)',
      replace: 'choice === null || evidence.length > 0',
      why: 'a choice needs no evidence',
    },
    {
      find: 'if (version !== TUNING_VERSION && Number.isInteger(version)) {',
      replace: 'if (version === 0) {',
      why: 'a cache of another version is rubbish that may be overwritten',
    },
  ]),
  ...faultsIn('src/tune/tune.ts', { tests: ['tune/tune.test.ts'], only: '(what it found|same shape)' }, [
    {
      find: 'if (share <= 1) return undefined;',
      replace: 'if (share <= 1.5) return undefined;',
      why: 'a choice that became slower is kept',
    },
    {
      find: '!fresh.some((other) => sameShape(point, other))',
      replace: 'fresh.length >= 0',
      why: 'old points stay beside new ones of the same shape',
    },
  ]),
  ...faultsIn('src/kernels/variants.ts', { tests: ['tune/tune.test.ts'], only: 'advice reaches' }, [
    {
      find: 'able.find(({ name }) => name === advised) ?? first',
      replace: 'first',
      why: 'what was tuned is asked for and not taken',
    },
  ]),
  ...faultsIn('src/core/units.ts', { tests: ['core/units.test.ts'] }, [
    { find: 'value / 10 ** (3 * step)', replace: 'value / 2 ** (10 * step)', why: 'SI prefixes are binary' },
    {
      find: 'Math.floor(Math.log10(size) / 3)',
      replace: 'Math.round(Math.log10(size) / 3)',
      why: 'prefixes come too early',
    },
    {
      find: 'if (size < 1e6) return `${formatNumber(ns / 1e3)} us`;',
      replace: 'if (size < 1e6) return `${formatNumber(ns / 1e3)} ms`;',
      why: 'microseconds are called milliseconds',
    },
    {
      find: 'Math.max(0, 2 - magnitude)',
      replace: 'Math.max(0, 1 - magnitude)',
      why: 'numbers have two digits in place of three',
    },
    {
      find: '`${Math.round(100 * share)}${unit}`',
      replace: '`${Math.round(share)}${unit}`',
      why: 'whole percentages are fractions',
    },
    { find: "'B', 'KiB', 'MiB'", replace: "'B', 'MiB', 'KiB'", why: 'binary prefixes change places' },
  ]),
  ...faultsIn('src/report/terminal/ceilings.ts', { tests: ['bench/roofline.test.ts'] }, [
    {
      find: "roof.binds === 'compute' ? 'c' : 'b'",
      replace: "roof.binds === 'compute' ? 'b' : 'c'",
      why: 'what binds is told the wrong way round',
    },
  ]),
];
