/** Faults of what is judged: what fails a bench, the ratio of ranks, rates, how it ends; what condemns a kernel of the user. */
import { faultsIn, type Mutant } from '../mutant.ts';

const verdict = { tests: ['bench/verdict.test.ts'] };
const registered = { tests: ['validate/registered.test.ts'] };
const register = { tests: ['kernels/registered/register.test.ts'] };

export const verdictFaults: readonly Mutant[] = [
  ...faultsIn('src/bench/verdict.ts', verdict, [
    {
      find: "timing.state === 'failed' ? [failureText",
      replace: "timing.state === 'too-fine' ? [failureText",
      why: 'a row above the roof is no failure',
    },
    {
      find: 'forward?.pass === false',
      replace: 'forward?.pass === null',
      why: 'a forward pass that differs is no failure',
    },
    {
      find: '...ceilingFailures(ceilings),',
      replace: '',
      why: 'a probe whose result is wrong is no failure',
    },
    {
      find: '...(model === null ? [] : modelFailures(model)),',
      replace: '',
      why: 'the bench ignores the model',
    },
    {
      find: "outcome: failed ? 'failed' : isComplete ? 'pass' : 'incomplete'",
      replace: "outcome: failed ? 'failed' : 'pass'",
      why: 'what was not measured is a pass',
    },
    {
      find: 'if (low > RATIO_LIMIT)',
      replace: 'if (low > 2 * RATIO_LIMIT)',
      why: 'a ratio over its limit passes',
    },
    {
      find: 'if (high <= RATIO_LIMIT)',
      replace: 'if (median <= RATIO_LIMIT)',
      why: 'the ratio is judged by its median',
    },
    {
      find: "if (kind === 'unknown') {",
      replace: "if (kind === 'embedded-software') {",
      why: 'an adapter that says nothing is told to be software',
    },
  ]),
  ...faultsIn('src/bench/model/sharded.ts', verdict, [
    {
      find: 'ns / at(unsharded, round)',
      replace: 'at(unsharded, round) / ns',
      why: 'the ratio of ranks is upside down',
    },
  ]),
  ...faultsIn('src/bench/assemble.ts', verdict, [
    {
      find: 'const meanKvLength = (tokensPerSequence + 1) / 2;',
      replace: 'const meanKvLength = tokensPerSequence;',
      why: 'every token attends to the whole sequence',
    },
    {
      find: 'usefulFlopsPerSecond: usefulFlopsPerSecond(model.config, tokens, meanKvLength, ns),',
      replace: 'usefulFlopsPerSecond: usefulFlopsPerSecond(model.config, tokens, meanKvLength, ns / 1000),',
      why: 'useful FLOP/s of a pass are a thousand times too many',
    },
    {
      find: 'const ns = summarise(sharded.samplesNs).median;',
      replace: 'const ns = summarise(unsharded.samplesNs).median;',
      why: 'the rate of all ranks is that of one',
    },
  ]),
  ...faultsIn('src/bench/run.ts', { tests: ['cli/bench-fails.test.ts'] }, [
    {
      find: "if (result.pass && outcome === 'pass') return;",
      replace: "if (outcome !== 'failed') return;",
      why: 'an incomplete bench ends well',
    },
    { find: 'if (failures.length > 0) {', replace: 'if (failures.length > 1) {', why: 'one failure is none' },
  ]),
  ...faultsIn('src/cli/verbs/bench.ts', { tests: ['cli/bench-fails.test.ts'] }, [
    { find: '      requirePass(result);\n', replace: '', why: 'the bench exits with 0 whatever it found' },
  ]),
  ...faultsIn('src/cli/verbs/generate.ts', { tests: ['cli/tuning-off.test.ts'] }, [
    {
      find: 'attachTuning(gpu, options)',
      replace: 'attachTuning(gpu)',
      why: 'generate ignores --no-tuning',
    },
  ]),
  // Kernels of the user's own.
  ...faultsIn('src/validate/run-case.ts', registered, [
    {
      find: 'if (stray !== undefined) return failed(stray, prepared.variant);',
      replace: '',
      why: 'what is written beyond an output passes',
    },
    {
      find: '[0x7fc0dead, 0xffff2152, 0x7f7f5555, 0xff7faaaa]',
      replace: '[0x7fc0dead, 0x7fc0dead, 0x7fc0dead, 0x7fc0dead]',
      why: 'every run has the same poison',
    },
  ]),
  ...faultsIn('src/validate/registered.ts', registered, [
    {
      find: "races.every(({ state }) => state !== 'races')",
      replace: 'races.length >= 0',
      why: "a user's kernel may race",
    },
    {
      find: 'const isRight = results.length > 0 && ',
      replace: 'const isRight = ',
      why: 'a kernel that refuses every case passes',
    },
    {
      find: 'if (isHopeless(results)) break;',
      replace: '',
      why: 'what does not compile is tried for every case',
    },
  ]),
  ...faultsIn('src/validate/races/interpret.ts', { tests: ['validate/races.test.ts'] }, [
    {
      find: 'const text = withElements(plain.text);',
      replace: 'const { text } = plain;',
      why: 'lanes may race for a scalar',
    },
  ]),
  ...faultsIn('src/kernels/variants.ts', register, [
    {
      find: 'const [first] = able;',
      replace: 'const [first] = [...added, ...able];',
      why: "a user's kernel is taken by default",
    },
  ]),
  ...faultsIn('src/kernels/registered/register.ts', register, [
    {
      find: "if ((given === 'read') !== readOnly) {",
      replace: "if (given === 'read' && !readOnly) {",
      why: 'an output that a shader cannot write is taken',
    },
    {
      find: 'if (given !== type) refuse(',
      replace: 'if (given === undefined) refuse(',
      why: 'a parameter of another type is taken',
    },
  ]),
];
