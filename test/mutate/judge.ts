/** Whether a fault was caught, and what all of them together come to. */
import { nameOf, type Mutant } from './mutant.ts';
import type { TestRun } from './run-tests.ts';
import { shareInterval } from './sample.ts';

/** `invalid`: it does not compile, or no test was chosen, so it says nothing of the tests. */
export type Fate = 'caught' | 'hung' | 'survived' | 'invalid';

export interface Judged {
  readonly mutant: Mutant;
  readonly area: string;
  readonly fate: Fate;
  readonly run: TestRun;
}

const NO_WGSL = /does not compile on this adapter|cannot be parsed|but its definition says/;
const NO_SCRIPT = /Transform failed|PARSE_ERROR|SyntaxError: (?!.*JSON)/;

/** A test that does not end notices too. */
export function fateOf(mutant: Mutant, { state, message = '' }: TestRun): Fate {
  if (state === 'passed') return 'survived';
  if (state === 'no tests') return 'invalid';
  if (state === 'hung') return 'hung';
  const wrong = mutant.file.endsWith('.wgsl') ? NO_WGSL : NO_SCRIPT;
  return wrong.test(message) ? 'invalid' : 'caught';
}

export interface Score {
  readonly all: number;
  readonly caught: number;
  readonly hung: number;
  readonly survived: readonly Judged[];
  readonly invalid: readonly Judged[];
  /** Caught, those that hung included, of all: 0 to 1. */
  readonly share: number;
  readonly pass: boolean;
}

/** Of the faults that must be caught. */
export const LEAST_SHARE = 0.95;

export function scoreOf(judged: readonly Judged[]): Score {
  const those = (fate: Fate): Judged[] => judged.filter((one) => one.fate === fate);
  const [caught, hung] = [those('caught').length, those('hung').length];
  const share = judged.length === 0 ? 0 : (caught + hung) / judged.length;
  const invalid = those('invalid');
  return {
    ...{ all: judged.length, caught, hung, survived: those('survived'), invalid, share },
    pass: share >= LEAST_SHARE && invalid.length === 0,
  };
}

/** The last lines of a run: who survived, and the verdict. @param of how many these are a sample; absent when they are all. */
export function describeScore(score: Score, of?: number): string[] {
  const { all, caught, hung, survived, invalid, share, pass } = score;
  const percent = (value: number): string => (100 * value).toFixed(1);
  const list = (head: string, which: readonly Judged[], more: (one: Judged) => string): string[] =>
    which.length === 0 ? [] : ['', head, ...which.flatMap((one) => [`  ${nameOf(one.mutant)}`, more(one)])];
  return [
    ...list('Survived:', survived, ({ mutant }) =>
      mutant.equivalent === undefined
        ? `    - ${mutant.find}\n    + ${mutant.replace}`
        : `    nobody can tell: ${mutant.equivalent}`,
    ),
    ...list('Say nothing, since they do not compile or choose no test:', invalid, ({ run }) => {
      return `    ${(run.message ?? run.state).split('\n').slice(0, 3).join('\n    ')}`;
    }),
    '',
    `${pass ? 'pass' : 'FAIL'}: ${caught + hung} of ${all} planted faults caught (${percent(share)} %, ` +
      `at least ${100 * LEAST_SHARE} % wanted), ${survived.length} survived` +
      (hung === 0 ? '' : `, ${hung} of those caught by a test that did not end`) +
      (invalid.length === 0 ? '' : `, ${invalid.length} say nothing`),
    ...(of === undefined
      ? []
      : [
          `A sample: of all ${of}, ${shareInterval(share, all).map(percent).join(' to ')} % are caught, at 95 % confidence.`,
        ]),
  ];
}
