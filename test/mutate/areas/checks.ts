/** Faults of the checks themselves, and of what commands make of them: a check that cannot fail is the worst. */
import { faultsIn, type Mutant } from '../mutant.ts';

const model = { tests: ['bench/model-check.test.ts'] };
const checks = { tests: ['validate/checks.test.ts'] };
const wrong = { tests: ['cli/wrong.test.ts'] };

export const checkFaults: readonly Mutant[] = [
  ...faultsIn('src/bench/model/check.ts', model, [
    { find: 'pass: worst <= LOGITS_LIMIT,', replace: 'pass: true,', why: 'logits never fail' },
    {
      find: 'const LOSS_LIMIT = 1e-3;',
      replace: 'const LOSS_LIMIT = 1;',
      why: 'the loss may be off a thousand times as far',
    },
    {
      find: 'const LOGITS_LIMIT = 2e-3;',
      replace: 'const LOGITS_LIMIT = 4e-3;',
      why: 'logits may be off twice as far',
    },
    {
      find: "['sharded', 'known', sharded, known],",
      replace: "['sharded', 'known', known, known],",
      why: 'what is known is compared with itself',
    },
    {
      find: "['sharded', 'unsharded', sharded, unsharded],",
      replace: "['sharded', 'unsharded', unsharded, unsharded],",
      why: 'one rank is compared with itself',
    },
    {
      find: 'pass: checks.every(({ pass }) => pass),',
      replace: 'pass: checks.some(({ pass }) => pass),',
      why: 'a model passes when any of its checks does',
    },
    {
      find: 'pass: compared > 0 && equal === compared,',
      replace: 'pass: compared > 0,',
      why: 'other experts are no failure',
    },
    {
      find: 'pass: total > 0 && equal === total,',
      replace: 'pass: equal > 0,',
      why: 'a text that begins right passes',
    },
    {
      find: 'if (!Number.isFinite(delta)) return Infinity;',
      replace: '',
      why: 'a logit that is NaN is passed over',
    },
    {
      find: 'if (got.length !== want.length) return Infinity;',
      replace: '',
      why: 'logits of another number are compared as far as they go',
    },
    {
      find: 'Math.abs(sum(got.nats) - sum(want.nats)) / predictions',
      replace: '(sum(got.nats) - sum(want.nats)) / predictions',
      why: 'a loss that is too small passes',
    },
    { find: 'if (kernelsPass) throw error;', replace: '', why: 'a model that cannot run ends as a report' },
  ]),
  ...faultsIn('src/validate/run-case.ts', checks, [
    {
      find: 'if (changed !== undefined) {',
      replace: 'if (changed !== undefined && !result.pass) {',
      why: 'other bits on the second run pass',
    },
    {
      find: 'pass: [...comparisons.values()].every((c) => c.pass),',
      replace: 'pass: [...comparisons.values()].some((c) => c.pass),',
      why: 'a case passes when one of its outputs is right',
    },
    { find: 'prepared?.destroy();', replace: '', why: 'buffers of a case are never freed' },
  ]),
  ...faultsIn(
    'src/validate/run-case.ts',
    { tests: ['validate/sabotage.shared.test.ts'], only: '(keeps what an earlier|writes nothing)' },
    [
      {
        find: 'new Uint32Array(buffer.byteLength / 4).fill(poison)',
        replace: 'new Uint32Array(buffer.byteLength / 4)',
        why: 'the poison is zeros',
      },
    ],
  ),
  ...faultsIn('src/validate/spot-check.ts', checks, [
    {
      find: 'Math.floor((i * (numRows - 1)) / (kept - 1))',
      replace: '0 * i',
      why: 'spot checks see the first row only',
    },
    {
      find: 'Math.floor((i * (numRows - 1)) / (kept - 1))',
      replace: 'i',
      why: 'spot checks see the first rows only',
    },
    {
      find: 'data.subarray(row * width, (row + 1) * width)',
      replace: 'data.subarray(i * width, (i + 1) * width)',
      why: 'spot checks pick the first rows, whatever they ask for',
    },
  ]),
  ...faultsIn('src/validate/draw/fuzz.ts', checks, [
    {
      find: 'if (!result.pass) failures.push(failureOf(gpu, seed + i, result, modules));',
      replace: 'if (!result.pass && i === 0) failures.push(failureOf(gpu, seed + i, result, modules));',
      why: 'failures after the first random case are not counted',
    },
    {
      find: 'failureOf(gpu, seed + i, result, modules)',
      replace: 'failureOf(gpu, seed, result, modules)',
      why: 'every failure names the first seed',
    },
    {
      find: 'worstShare = Math.max(worstShare, result.worstShare);',
      replace: 'worstShare = result.worstShare;',
      why: 'the worst error is that of the last run',
    },
    { find: 'runs += results.length;', replace: 'runs += 1;', why: 'variants are not counted as runs' },
  ]),
  ...faultsIn('src/cli/verbs/op.ts', wrong, [
    {
      find: 'if (!result.pass)\n      throw new CheckError',
      replace: 'if (Number.isNaN(result.got))\n      throw new CheckError',
      why: 'op --check writes a wrong result',
    },
  ]),
  ...faultsIn('src/bench/validate.ts', wrong, [
    {
      find: '&& (model === null || model.pass)',
      replace: '',
      why: 'validate ignores the model',
    },
    {
      find: 'return families.every(({ failed }) => failed === 0) &&',
      replace: 'return families.length > 0 &&',
      why: 'validate ignores the kernels',
    },
  ]),
  ...faultsIn('src/cli/verbs/validate.ts', wrong, [
    {
      find: 'if (!result.pass) throw new CheckError(summaryOf(result));',
      replace: '',
      why: 'validate exits with 0 whatever it found',
    },
    {
      find: 'const pass = reports.every(({ failures }) => failures.length === 0);',
      replace: 'const pass = reports.every(({ runs }) => runs > 0);',
      why: 'random cases that fail are no failure',
    },
    {
      find: 'runs, failed: failures.length, worstShare',
      replace: 'runs, failed: 0, worstShare',
      why: 'failures of random cases are not counted',
    },
  ]),
  ...faultsIn('src/cli/verbs/growth.ts', wrong, [
    {
      find: "verdict !== 'as expected' && verdict !== 'unfit'",
      replace: "verdict === 'failed'",
      why: 'unexpected growth is a pass and exits with 0',
    },
    {
      find: 'const pass = unexpected(found) === undefined;',
      replace: 'const pass = found.length > 0;',
      why: 'any growth is called a pass',
    },
  ]),
  ...faultsIn('src/cli/tuning.ts', { tests: ['cli/tuning-off.test.ts'] }, [
    { find: 'tuning === false ||', replace: '', why: '--no-tuning is ignored' },
    {
      find: "process.env[VARIABLE] === 'off'",
      replace: "process.env[VARIABLE] === 'none'",
      why: 'MOEBIUS_TUNING=off is ignored',
    },
    {
      find: '${facts.name}\\n${facts.driver}',
      replace: '${facts.name}',
      why: 'all drivers of an adapter share a file',
    },
    { find: 'gpu.tuning = table;', replace: '', why: 'what was tuned is read and not used' },
    {
      find: 'gpu.tuning = undefined;\n  if (tuning === false',
      replace: 'if (tuning === false',
      why: 'what an earlier command tuned stays on the device',
    },
  ]),
  ...faultsIn('src/cli/run.ts', { tests: ['cli/run.test.ts'] }, [
    {
      find: 'checkFailed: 1, wrongUse: 2',
      replace: 'checkFailed: 0, wrongUse: 2',
      why: 'a failed check exits with 0',
    },
    { find: 'if (error.exitCode === 0) return undefined;', replace: '', why: 'showing help is a failure' },
    {
      find: "if (error instanceof ConfigError) return { code: EXIT.wrongUse, kind: 'usage', message };",
      replace: '',
      why: 'wrong use is called our own fault',
    },
  ]),
  ...faultsIn(
    'src/cli/files/files.ts',
    { tests: ['cli/op.test.ts'], only: '(own input|writeWhole|not there)' },
    [
      {
        find: 'one.ino === other.ino && one.dev === other.dev && one.ino !== 0',
        replace: 'false',
        why: 'a hard link to the input may be overwritten',
      },
    ],
  ),
  ...faultsIn('src/cli/files/draft.ts', { tests: ['cli/files.test.ts'], only: 'all names of a file' }, [
    {
      find: 'await rm(draft, { force: true }).catch(() => undefined);',
      replace: '',
      why: 'a draft stays when its target is written in place',
    },
  ]),
  ...faultsIn('src/cli/options.ts', { tests: ['cli/run.test.ts'], only: 'numbers' }, [
    {
      find: 'const value = /^[+-]?\\d+$/.test(text.trim()) ? Number(text) : NaN;',
      replace: 'const value = Math.max(least, Math.round(Number(text)));',
      why: 'whole numbers are rounded and raised to the least',
    },
    {
      find: "export function atLeast(least: number): (text: string) => number {\n  return (text) => {\n    const value = text.trim() === '' ? NaN : Number(text);",
      replace:
        'export function atLeast(least: number): (text: string) => number {\n  return (text) => {\n    const value = Number(text);',
      why: 'no number at all is 0',
    },
  ]),
  ...faultsIn('src/measure/stopwatch.ts', { tests: ['measure/windows.test.ts'] }, [
    { find: 'total += ns;', replace: 'total = ns;', why: 'only the last span of a window counts' },
    {
      find: 'if (ns === undefined) return undefined;',
      replace: 'if (ns === undefined) continue;',
      why: 'a void pass is left out of its window',
    },
    {
      find: "gpu.commands('measure', 'dispatch')",
      replace: "gpu.commands('measure', 'span')",
      why: 'kernels of a window cannot be told apart',
    },
    {
      find: "counted.test(kernel ?? '')",
      replace: "!counted.test(kernel ?? '')",
      why: 'all kernels count but those that shall',
    },
  ]),
  ...faultsIn(
    'src/bench/ceilings/ceilings.ts',
    { tests: ['bench/ceiling-values.test.ts', 'bench/roofline.test.ts', 'measure/probes.shared.test.ts'] },
    [
      {
        find: '(work * NS_PER_S) / ns',
        replace: '(2 * work * NS_PER_S) / ns',
        why: 'measured ceilings are twice as high',
      },
      {
        find: "const failed = same.find(({ state }) => state === 'failed');",
        replace: 'const failed = undefined;',
        why: 'a probe whose result is wrong is outvoted by another',
      },
      {
        find: 'valueOf(b) > valueOf(a) ? b : a',
        replace: 'valueOf(b) < valueOf(a) ? b : a',
        why: 'of several forms of a probe the slowest counts',
      },
      {
        find: 'value: maxOf(samples),',
        replace: 'value: Math.min(...samples),',
        why: 'a ceiling is its worst sample',
      },
    ],
  ),
  ...faultsIn(
    'src/measure/probes/arithmetic.ts',
    { tests: ['bench/ceiling-values.test.ts'], only: 'multiply-add' },
    [
      {
        find: 'work: 2 * CHAIN_WIDTH',
        replace: 'work: 4 * CHAIN_WIDTH',
        why: 'the measured peak is twice as high',
      },
    ],
  ),
  ...faultsIn('src/measure/probes/memory.ts', { tests: ['bench/ceiling-values.test.ts'], only: 'storage' }, [
    { find: 'work: footprintBytes,', replace: 'work: 2 * footprintBytes,', why: 'copies count twice' },
    {
      find: 'work: numLanes * perLane,',
      replace: 'work: perLane,',
      why: 'loads of one lane stand for those of all',
    },
  ]),
  ...faultsIn('src/bench/ceilings/above-roof.ts', { tests: ['bench/roofline.test.ts'] }, [
    {
      find: "timing: { state: 'failed', reason },",
      replace: 'timing: kernel.timing,',
      why: 'a row above the roof keeps its time',
    },
    { find: 'delete failed.flopsPerSecond;', replace: '', why: 'a row above the roof keeps its rate' },
    {
      find: "ceiling.state === 'failed'\n      ?",
      replace: "ceiling.state === 'absent'\n      ?",
      why: 'a probe that failed is not told',
    },
  ]),
  ...faultsIn(
    'src/bench/model/growth.ts',
    { tests: ['bench/growth.test.ts', 'measure/fit.test.ts'], only: '(power law|sizes of a fit|nine sizes)' },
    [
      {
        find: 'Math.log(size), Math.log(at(times, i))',
        replace: 'Math.log(size), at(times, i)',
        why: 'exponents are fitted to times that are no logarithms',
      },
      {
        find: 'sizes: sizes.slice(-MOST_POINTS),',
        replace: 'sizes: sizes.slice(0, MOST_POINTS),',
        why: 'exponents are fitted to the smallest sizes',
      },
    ],
  ),
];
