/** A strategy: what it gives, what it leaves open, and its statements, each bound to a formula. */
import * as v from 'valibot';
import { ConfigError } from '../../core/errors.ts';
import { requireKnown } from '../../core/given.ts';
import { quoted } from '../../core/text/quoted.ts';
import { parseFields } from '../../model/fields.ts';
import { parseStrictJson } from '../../model/safetensors/strict-json.ts';
import { checkNamed, CHECKS } from './checks.ts';

export const RELATIONS = ['is', 'at least', 'at most'] as const;
export type Relation = (typeof RELATIONS)[number];

/** One statement. */
export interface Claim {
  readonly id: string;
  /** The sentence as it was made. */
  readonly says: string;
  /** The formula that it is held against, a name of `moebius claims --checks`. */
  readonly check: string;
  /** What this statement gives beyond the strategy, by the names of the formula's inputs. */
  readonly with?: Readonly<Record<string, number>>;
  /** Without a relation and a value the statement gives no figure to hold against. */
  readonly relation?: Relation;
  readonly value?: number;
  /** For 'is': how far off still counts, as a share of the value; half a unit of its last digit when absent. */
  readonly within?: number;
  /** Which readings count, by a part of their condition; all when absent. */
  readonly reading?: string;
}

/** What a strategy gives, what somebody has to suppose, and its statements. */
export interface Strategy {
  readonly name: string;
  /** What it states of itself, by the names of inputs. */
  readonly given: Readonly<Record<string, number>>;
  /** What it leaves open and somebody has to suppose. */
  readonly assumed?: Readonly<Record<string, number>>;
  readonly claims: readonly Claim[];
}

const finite = v.pipe(v.number(), v.finite());
const numbers = v.record(v.string(), finite);
const text = v.pipe(v.string(), v.minLength(1), v.maxLength(2000));
const ClaimFile = v.object({
  id: v.pipe(text, v.regex(/^[\w.-]+$/, 'Invalid id: Expected letters, digits, ".", "_" and "-"')),
  says: text,
  check: text,
  with: v.optional(numbers),
  relation: v.optional(v.picklist(RELATIONS)),
  value: v.optional(finite),
  within: v.optional(v.pipe(finite, v.minValue(0), v.maxValue(1))),
  reading: v.optional(text),
});
const File = v.object({
  name: text,
  given: numbers,
  assumed: v.optional(numbers),
  claims: v.pipe(v.array(ClaimFile), v.minLength(1), v.maxLength(1000)),
});

/** Inputs of any formula by name, and what each formula that reads one asks of it. */
const INPUTS: ReadonlyMap<string, readonly InputRule[]> = (() => {
  const rules = new Map<string, InputRule[]>();
  for (const { inputs } of CHECKS.values())
    for (const [name, rule] of Object.entries(inputs)) rules.set(name, [...(rules.get(name) ?? []), rule]);
  return rules;
})();

/**
 * @param label names the file in messages.
 * @throws ConfigError for what is no strategy: the first field, name or number that is wrong.
 */
export function readStrategy(bytes: Uint8Array, label: string): Strategy {
  return checkStrategy(parseStrictJson(bytes, label), label);
}

/** The same of an object. @throws ConfigError */
export function checkStrategy(value: unknown, label: string): Strategy {
  known(value, Object.keys(File.entries), label);
  const file = parseFields(File, value, label, 'See `moebius claims --example` for the format.');
  const { claims } = value as { claims: object[] };
  for (const [i, claim] of claims.entries())
    known(claim, Object.keys(ClaimFile.entries), `${label}, claim ${i + 1}`);
  for (const part of ['given', 'assumed'] as const) {
    const numbers = file[part] ?? {};
    const where = `${label}, "${part}"`;
    known(numbers, [...INPUTS.keys()], where);
    for (const [name, number] of Object.entries(numbers)) {
      const rules = INPUTS.get(name) ?? [];
      if (!rules.some((rule) => inRange(rule, number))) requireInRange(rules[0], name, number, where);
    }
  }
  const ids = new Set<string>();
  for (const claim of file.claims) {
    const where = `${label}, claim ${quoted(claim.id)}`;
    if (ids.has(claim.id)) throw new ConfigError(`${where} is there twice. Give each an id of its own.`);
    ids.add(claim.id);
    const check = checkNamed(claim.check, where);
    known(claim.with ?? {}, Object.keys(check.inputs), where);
    if ((claim.relation === undefined) !== (claim.value === undefined)) {
      throw new ConfigError(
        `${where} has ${claim.value === undefined ? 'a relation but no value' : 'a value but no relation'}; give both or neither.`,
      );
    }
    for (const [name, number] of Object.entries({ ...file.given, ...file.assumed, ...claim.with })) {
      requireInRange(check.inputs[name], name, number, where);
    }
  }
  return file as Strategy;
}

interface InputRule {
  readonly whole?: boolean;
  readonly range?: readonly [number, number];
  readonly unit: string;
}

function inRange({ whole, range: [least, most] = [-Infinity, Infinity] }: InputRule, value: number): boolean {
  return (whole !== true || Number.isInteger(value)) && value >= least && value <= most;
}

function requireInRange(input: InputRule | undefined, name: string, value: number, where: string): void {
  if (input === undefined || inRange(input, value)) return;
  const [least, most] = input.range ?? [-Infinity, Infinity];
  const kind = input.whole === true ? 'a whole number' : 'a number';
  throw new ConfigError(
    `${where}: ${name} is ${value}; it must be ${kind} from ${least} to ${most}${input.unit && ` ${input.unit}`}.`,
  );
}

function known(value: unknown, names: readonly string[], label: string): void {
  if (typeof value !== 'object' || value === null) return;
  requireKnown(value, names, label);
}
