/** Faults of what a result is told by: the summary, the drawings, the page. */
import { faultsIn, type Mutant } from '../../mutant.ts';

const summary = { tests: ['report/summary.test.ts'] };
const page = { tests: ['report/html.test.ts'] };

export const reportFaults: readonly Mutant[] = [
  ...faultsIn('src/report/terminal/bench/summary.ts', summary, [
    { find: 'lines.length <= most ? shown', replace: 'lines.length <= most ? lines : lines.length > 0 ? lines', why: 'a long name takes more lines than there are' },
    { find: "outcome === 'incomplete'", replace: "outcome === 'failed'", why: 'an incomplete run begins with what passed' },
    { find: 'recoverableNs / most, BAR', replace: '1, BAR', why: 'all bars are as long' },
    { find: 'load === null || !isBusy(load)', replace: 'load === null || isBusy(load)', why: 'a busy machine is not told' },
  ]),
  ...faultsIn('src/plots/pipeline.ts', page, [
    { find: '[...own.map(({ beginNs }) => beginNs), wallNs]', replace: 'own.map(({ beginNs }) => beginNs)', why: 'the bubble at the end is not seen' },
    { find: '.sort((a, b) => a.beginNs - b.beginNs);', replace: ';', why: 'bubbles lie between slots in any order' },
  ]),
  ...faultsIn('src/plots/heat-map.ts', page, [
    { find: '(all, value) => all + value, 0) / load.length', replace: '(all, value) => all + value, 0)', why: 'the mean of a load is its sum' },
  ]),
  ...faultsIn('src/report/html/cluster.tsx', page, [
    { find: 'busy(b) > busy(a) ? b : a', replace: 'busy(b) > busy(a) ? a : b', why: 'the fastest rank is told as the slowest' },
    { find: 'sum(byRank.map((row) => at(row, expert)))', replace: 'at(byRank[0] ?? [], expert)', why: 'the load of an expert is that of one rank' },
  ]),
  ...faultsIn('src/report/html/shell.tsx', page, [
    { find: "script-src 'none'", replace: "script-src 'unsafe-inline'", why: 'a script may run in the page' },
    { find: "key === 'windowsNs' ? undefined : part", replace: "key === 'samplesNs' ? undefined : part", why: 'samples are not in the page' },
  ]),
];
