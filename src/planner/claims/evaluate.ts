/** Statements held against their formulas: what holds, what fails, under which condition, what cannot be decided. */
import { requireFields } from '../../core/given.ts';
import { at } from '../../core/math.ts';
import type { Beside, Check, Input, Reading, Values } from './check.ts';
import { checkNamed } from './checks.ts';
import { solveFor, type Solution } from './solve.ts';
import { checkStrategy, type Claim, type Relation, type Strategy } from './strategy.ts';

export type Verdict = 'holds' | 'fails' | 'holds under condition' | 'cannot be decided';

/** A number that a verdict rests on, and who says so. */
export interface UsedInput {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** given: the strategy states it; assumed: it does not, and a common value was taken. */
  readonly source: 'given' | 'assumed';
}

export interface ReadingResult extends Reading {
  /** null where the statement gives no figure. */
  readonly holds: boolean | null;
}

/** One statement, judged. Every value is modelled: a formula over what is given. */
export interface ClaimResult {
  readonly id: string;
  readonly says: string;
  readonly verdict: Verdict;
  /** Of 'holds under condition'; else why, where that needs words. */
  readonly condition: string | null;
  readonly check: string;
  readonly formula: string;
  readonly unit: string;
  readonly relation: Relation | null;
  readonly claimed: number | null;
  readonly readings: readonly ReadingResult[];
  readonly beside: readonly Beside[];
  readonly inputs: readonly UsedInput[];
  /** Inputs that neither statement nor strategy gives. */
  readonly missing: readonly string[];
  /** What would make it true, one input at a time. */
  readonly solutions: readonly Solution[];
  /** Prints this result again. */
  readonly command: string;
}

/** All statements of a strategy. */
export interface ClaimsReport {
  readonly strategy: string;
  readonly given: Values;
  readonly assumed: Values;
  readonly counts: Readonly<Record<Verdict, number>>;
  readonly claims: readonly ClaimResult[];
}

/**
 * Holds every statement against its formula.
 * @param file names the strategy's file in the commands that reproduce a verdict; absent for the one that ships.
 * @throws ConfigError for what is no strategy.
 */
export function evaluateClaims(strategy: Strategy, file?: string): ClaimsReport {
  requireFields('The strategy', strategy, { name: 'string', given: 'record', claims: 'list' });
  const { name, given, assumed = {}, claims } = checkStrategy(strategy, 'The strategy');
  const results = claims.map((claim) => judge(claim, given, assumed, file));
  const counts: Record<Verdict, number> = {
    holds: 0,
    fails: 0,
    'holds under condition': 0,
    'cannot be decided': 0,
  };
  for (const { verdict } of results) counts[verdict]++;
  return { strategy: name, given, assumed, counts, claims: results };
}

function judge(claim: Claim, given: Values, assumed: Values, file: string | undefined): ClaimResult {
  const check = checkNamed(claim.check, `claim ${claim.id}`);
  const inputs = Object.entries(check.inputs).flatMap(([name, input]) =>
    usedInput(name, input, claim, given, assumed),
  );
  const missing = Object.keys(check.inputs).filter((name) => !inputs.some((used) => used.name === name));
  // What explains more without being needed, as the depth of the model.
  const x = {
    ...assumed,
    ...given,
    ...claim.with,
    ...Object.fromEntries(inputs.map((used) => [used.name, used.value])),
  };
  const holds = holdsOf(claim);
  const readings = missing.length > 0 ? [] : readingsOf(check, claim, x, holds);
  const result = {
    id: claim.id,
    says: claim.says,
    check: claim.check,
    formula: check.formula,
    unit: check.unit,
    relation: claim.relation ?? null,
    claimed: claim.value ?? null,
    readings,
    beside: missing.length > 0 ? [] : (check.beside?.(x) ?? []),
    inputs,
    missing,
    solutions: holds === undefined ? [] : solutionsOf(check, claim, x, inputs, missing, holds),
    command: ['moebius claims', ...(file === undefined ? [] : [shellWord(file)]), `--only ${claim.id}`].join(
      ' ',
    ),
  };
  return { ...result, ...verdictOf(result) };
}

function usedInput(name: string, input: Input, claim: Claim, given: Values, assumed: Values): UsedInput[] {
  const stated = claim.with?.[name] ?? given[name];
  const value = stated ?? assumed[name] ?? input.assumed;
  if (value === undefined) return [];
  return [{ name, value, unit: input.unit, source: stated === undefined ? 'assumed' : 'given' }];
}

function readingsOf(
  check: Check,
  claim: Claim,
  x: Values,
  holds: ((value: number) => boolean) | undefined,
): ReadingResult[] {
  return check
    .readings(x)
    .filter(({ condition }) => claim.reading === undefined || condition.includes(claim.reading))
    .map((reading) => ({ ...reading, holds: holds === undefined ? null : holds(reading.value) }));
}

/** Half a unit of the last digit that is stated: 25 is 24.5 to 25.5, 23.7 is 23.65 to 23.75. */
function lastDigit(value: number): number {
  const [, decimals = ''] = String(value).split('.');
  return 0.5 * 10 ** -decimals.length;
}

function holdsOf({ relation, value, within }: Claim): ((found: number) => boolean) | undefined {
  if (relation === undefined || value === undefined) return undefined;
  const slack = within === undefined ? lastDigit(value) : within * Math.abs(value);
  const rounding = 1e-9 * Math.abs(value);
  if (relation === 'is') return (found) => Math.abs(found - value) <= slack + rounding;
  return relation === 'at least'
    ? (found) => found >= value - rounding
    : (found) => found <= value + rounding;
}

function solutionsOf(
  check: Check,
  claim: Claim,
  x: Values,
  inputs: readonly UsedInput[],
  missing: readonly string[],
  holds: (value: number) => boolean,
): Solution[] {
  // With one unknown that is asked for; with none each may be turned; with more there is no one answer.
  const free = missing.length === 0 ? inputs.map(({ name }) => name) : missing.length === 1 ? missing : [];
  const candidates = free.flatMap((name) => {
    const start = x[name] ?? check.inputs[name]?.range?.[1] ?? 1;
    return check
      .readings({ ...x, [name]: start })
      .flatMap((reading, i) =>
        claim.reading === undefined || reading.condition.includes(claim.reading)
          ? [solveFor(check, x, name, i, holds)]
          : [],
      );
  });
  return candidates.filter((solution) => solution !== undefined);
}

type Judged = Pick<ClaimResult, 'readings' | 'missing' | 'inputs' | 'solutions' | 'relation'>;

function verdictOf({
  readings,
  missing,
  inputs,
  solutions,
  relation,
}: Judged): Pick<ClaimResult, 'verdict' | 'condition'> {
  if (missing.length > 0) {
    const [bound] = solutions;
    const would = bound === undefined ? '' : `; it would hold with ${solutionText(bound)}`;
    return { verdict: 'cannot be decided', condition: `not given: ${missing.join(', ')}${would}` };
  }
  if (relation === null)
    return {
      verdict: 'cannot be decided',
      condition: 'the statement gives no figure; this is what it comes to',
    };
  const supposed = inputs.filter(({ source }) => source === 'assumed');
  const assumption = supposed
    .map(({ name, value, unit }) => `${name} ${value}${unit && ` ${unit}`}`)
    .join(', ');
  const good = readings.filter(({ holds }) => holds === true);
  if (good.length === 0) {
    const turned = solutions.find(({ input }) => supposed.some(({ name }) => name === input));
    if (turned !== undefined) return { verdict: 'holds under condition', condition: solutionText(turned) };
    return { verdict: 'fails', condition: null };
  }
  if (good.length < readings.length) {
    return {
      verdict: 'holds under condition',
      condition: good.map(({ condition }) => condition).join('; or '),
    };
  }
  if (supposed.length > 0) {
    const bound = solutions.find(({ input }) => supposed.some(({ name }) => name === input));
    const text = bound === undefined ? '' : `${solutionText(bound)}, `;
    return { verdict: 'holds under condition', condition: `${text}assuming ${assumption}` };
  }
  const only = at(good, 0);
  return {
    verdict: 'holds',
    condition: only.condition === '' ? null : good.map(({ condition }) => condition).join('; '),
  };
}

/** 'activeParameters at most 1.98 billion' */
export function solutionText({ input, unit, bound, value }: Solution): string {
  const digits = Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
  return `${input} ${bound} ${digits}${unit && ` ${unit}`}`;
}

/** A word that a shell takes as it is. */
function shellWord(text: string): string {
  return /^[\w./@:+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
