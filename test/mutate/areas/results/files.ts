/** Faults of result files: what is written, read, refused, and made of older ones. */
import { faultsIn, type Mutant } from '../../mutant.ts';

const file = { tests: ['report/result-file.test.ts'] };
const table = { tests: ['report/export.test.ts'] };
const bench = { tests: ['bench/run.test.ts'] };

export const resultFileFaults: readonly Mutant[] = [
  ...faultsIn('src/report/file/schema-parts.ts', file, [
    { find: 'v.strictObject(', replace: 'v.looseObject(', why: 'unknown fields are taken' },
    { find: 'v.finite(), v.minValue(0));\nexport const Count', replace: 'v.finite());\nexport const Count', why: 'a time may be negative' },
    { find: 'didYouMean(name, Object.keys(entries))', replace: "''", why: 'the field that was meant is not told' },
    { find: 'v.array(Ns), v.minLength(1)', replace: 'v.array(Ns), v.minLength(0)', why: 'a time may have no samples' },
  ]),
  ...faultsIn('src/report/file/result-file.ts', file, [
    { find: 'version === 1 ? judged(parsed.output) : parsed.output', replace: 'parsed.output', why: 'version 1 keeps no judgement' },
    {
      find: 'if (version === 1 || version === RESULT_VERSION) return version;',
      replace: 'if (version === 1 || Number(version) >= RESULT_VERSION) return 2;',
      why: 'a newer version is read as this one',
    },
    { find: 'shortened(printable(v.getDotPath(issue)', replace: 'String((v.getDotPath(issue)', why: 'the name of a field reaches the message raw' },
  ]),
  ...faultsIn('src/report/file/version-1.ts', file, [
    { find: "without(kernel, 'drift')", replace: 'kernel', why: 'drift of version 1 is no drift of version 2' },
    { find: "without(own, 'ratio')", replace: 'own', why: 'the ratio of version 1 is a number' },
    {
      find: 'filter(([name]) => name in result)',
      replace: 'filter(() => true)',
      why: 'a part that is missing is told as one of another type',
    },
    { find: "judgement.what === 'target' && result", replace: "judgement.what === 'checks' && result", why: "a GPU's version 1 says why a check failed" },
  ]),
  ...faultsIn('src/report/file/export.ts', table, [
    { find: "FORMULA.test(value) || FORMULA.test(text) ? `'${text}` : text", replace: 'text', why: 'a sheet computes a name' },
  ]),
  ...faultsIn('src/bench/kernels/suite.ts', { tests: ['measure/measure.test.ts'] }, [
    { find: 'jobs.indexOf(at(ready, i).job)', replace: 'i', why: 'the order of a round numbers rows by their turn' },
    { find: 'beginNs: beginNs - originNs, endNs: endNs - originNs', replace: 'beginNs, endNs', why: 'times of rounds count from no place' },
  ]),
  ...faultsIn('src/bench/model/cluster.ts', bench, [
    { find: 'tokens.slice(share.first, share.first + share.count)', replace: 'tokens', why: 'every rank of a TP group sends all of its tokens' },
    { find: 'for (const k of range(sizes.topK))', replace: 'for (const k of range(1))', why: 'only the first choice counts' },
    { find: 'range(layout.spec.pp).flatMap((stage) =>', replace: 'range(1).flatMap((stage) =>', why: 'only the first stage has memory' },
  ]),
  ...faultsIn('src/collectives/segments.ts', { tests: ['collectives/segments.test.ts'] }, [
    { find: '    commands?.discard();\n', replace: '', why: 'a list of a step that failed is never freed' },
  ]),
  ...faultsIn('src/validate/races/examine-variant.ts', { tests: ['validate/registered.test.ts'] }, [
    {
      find: 'if (differs !== undefined) {',
      replace: 'if (differs !== undefined && differs.length === 0) {',
      why: 'an interpreter that computes something else is believed',
    },
  ]),
];
