/** Faults of comparisons: the rank test, the effect, the words, what chance does to many rows. */
import { faultsIn, type Mutant } from '../../mutant.ts';

const compare = { tests: ['compare/compare.test.ts'] };
const verb = { tests: ['compare/verb.test.ts'] };

export const compareFaults: readonly Mutant[] = [
  ...faultsIn('src/compare/rank-test.ts', { tests: ['compare/rank-test.test.ts'] }, [
    { find: '2 * Math.min(below, above)', replace: 'Math.min(below, above)', why: 'p is one-sided' },
    {
      find: 'for (const i of order.slice(first, end)) ranks[i] = first + 1 + end;',
      replace: 'for (const i of order.slice(first, end)) ranks[i] = 2 * (first + 1);',
      why: 'ties share their lowest rank',
    },
    { find: 'if (sum >= found) above', replace: 'if (sum > found) above', why: 'a tail without its own end' },
  ]),
  ...faultsIn('src/compare/decide.ts', compare, [
    {
      find: "return least <= MOST_SAME && high <= 1 + bound && low >= 1 / (1 + bound) ? 'same' : 'ambiguous';",
      replace: "return high <= 1 + bound && low >= 1 / (1 + bound) ? 'same' : 'ambiguous';",
      why: 'a row that differs from itself by 30 % is called the same',
    },
    { find: 'high <= 1 + bound && low', replace: 'low', why: 'half of the interval is enough for the same' },
    { find: "ratio > 1 ? 'slower'", replace: "ratio < 1 ? 'slower'", why: 'slower and faster are changed' },
    {
      find: 'Math.max(LEAST_EFFECT, floors.length === 0 ? 0 : Math.expm1(median(floors)))',
      replace: 'LEAST_EFFECT',
      why: 'what a row differs by from itself is not asked',
    },
    { find: 'if (p <= ALPHA && isWorth', replace: 'if (isWorth', why: 'the rank test is not asked' },
  ]),
  ...faultsIn('src/compare/relabel.ts', compare, [
    {
      find: 'at(p, i) * (p.length - rank)',
      replace: 'at(p, i)',
      why: "Holm's factor is one",
    },
    {
      find: 'least = Math.max(least, at(exceeding, i) / ways.length);',
      replace: 'least = at(exceeding, i) / ways.length / 2;',
      why: 'p of all rows is halved',
    },
    {
      find: 'return side.map((value) => value - centre);',
      replace: 'return side;',
      why: 'false alarms are counted with the difference that is there',
    },
  ]),
  ...faultsIn('src/compare/units.ts', compare, [
    {
      find: "Math.min(a.length, b.length) >= ENOUGH_RUNS ? 'run' : 'round'",
      replace: "Math.min(a.length, b.length) >= 1 ? 'run' : 'round'",
      why: 'one run a side is enough for the run to be the unit',
    },
  ]),
  ...faultsIn('src/compare/units.ts', verb, [
    {
      find: "(['adapter', 'clock', 'scope'] as const)",
      replace: "(['clock', 'scope'] as const)",
      why: 'runs of other adapters are compared',
    },
    { find: '    requireShape(all, name);\n', replace: '', why: 'rows of other shapes are compared' },
  ]),
];
