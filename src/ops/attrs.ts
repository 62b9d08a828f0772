/** Attributes of an op: words like `k=2` into typed values, and the values back out. */
import { ConfigError, invariant } from '../core/errors.ts';
import { didYouMean } from '../core/text/near-names.ts';
import { quoted, shortened } from '../core/text/quoted.ts';
import { fitsF32, LEAST_F32, MOST_F32 } from '../core/f32.ts';
import type { AttrRule, AttrValue, OpFacts, OpInputs } from './op.ts';

/**
 * parseAttrs(gateTopk, ['k=2']) = { k: 2, score: 'softmax', renormalize: false }; defaults are filled in.
 * @throws ConfigError for a word that is not name=value, an unknown or doubled name, a value outside of its rule,
 * or a required attribute that is missing.
 */
export function parseAttrs(op: OpFacts, words: readonly string[]): ReadonlyMap<string, AttrValue> {
  const given = new Map<string, string>();
  for (const word of words) {
    const [, name, value] = /^([^=]+)=(.*)$/.exec(word) ?? [];
    if (name === undefined || value === undefined) {
      throw new ConfigError(
        `${quoted(word)} is not an attribute of ${op.name}; write name=value. ${listOf(op)}`,
      );
    }
    if (given.has(name))
      throw new ConfigError(`${op.name}: the attribute ${shortened(name)} is given twice; give it once.`);
    given.set(name, value);
  }
  return attrsFrom(op, Object.fromEntries(given));
}

/** As `parseAttrs`, from values by name. */
export function attrsFrom(
  op: OpFacts,
  given: Readonly<Record<string, AttrValue>>,
): ReadonlyMap<string, AttrValue> {
  const names = op.attrs.map((rule) => rule.name);
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue;
    throw new ConfigError(
      `${op.name} has no attribute ${quoted(name)}${didYouMean(name, names)}. ${listOf(op)}`,
    );
  }
  const attrs = new Map<string, AttrValue>();
  for (const rule of op.attrs) {
    const value = given[rule.name];
    if (value !== undefined) attrs.set(rule.name, parseValue(op, rule, String(value)));
    else if (rule.default !== undefined) attrs.set(rule.name, rule.default);
    else if (rule.derived === undefined) {
      throw new ConfigError(
        `${op.name} needs the attribute ${rule.name}: ${ruleText(rule)} (${rule.about}).`,
      );
    }
  }
  return attrs;
}

function parseValue(op: OpFacts, rule: AttrRule, text: string): AttrValue {
  const refuse = (): never => {
    const near = rule.kind === 'choice' ? didYouMean(text, rule.choices ?? []) : '';
    throw new ConfigError(
      `${op.name}: ${rule.name} is ${quoted(text)}${near}; it must be ${ruleText(rule)}.`,
    );
  };
  switch (rule.kind) {
    case 'choice':
      return (rule.choices ?? []).includes(text) ? text : refuse();
    case 'flag':
      if (text === '1' || text === 'true') return true;
      return text === '0' || text === 'false' ? false : refuse();
    case 'integer':
    case 'number': {
      const value = text.trim() === '' ? NaN : Number(text);
      const fits = rule.kind === 'number' ? Number.isFinite(value) : isInteger32(value);
      if (!fits || value < (rule.min ?? -Infinity) || value > (rule.max ?? Infinity)) return refuse();
      if (rule.kind === 'number' && rule.onHost !== true && !fitsF32(value)) {
        throw new ConfigError(
          `${op.name}: ${rule.name} is ${quoted(text)}, which f32 cannot hold; it must be 0 or of a size from ` +
            `${LEAST_F32} to ${MOST_F32}.`,
        );
      }
      return value;
    }
  }
}

/** Kernels are given integers in 32 bits. */
function isInteger32(value: number): boolean {
  return Number.isInteger(value) && Math.abs(value) < 2 ** 32;
}

/** 'an integer from 1', '0 or 1', 'softmax or sigmoid' */
export function ruleText(rule: AttrRule): string {
  if (rule.kind === 'choice') return (rule.choices ?? []).join(', ').replace(/, ([^,]*)$/, ' or $1');
  if (rule.kind === 'flag') return '0 or 1';
  const noun = rule.kind === 'integer' ? 'an integer' : 'a number';
  const from = rule.min === undefined ? '' : ` from ${rule.min}`;
  const most = rule.max ?? (rule.kind === 'integer' && rule.min !== undefined ? 2 ** 32 - 1 : undefined);
  return noun + from + (most === undefined ? '' : ` to ${most}`);
}

function listOf(op: OpFacts): string {
  if (op.attrs.length === 0) return 'It takes none.';
  return `It takes: ${op.attrs.map((rule) => rule.name).join(', ')}.`;
}

export function numberAttr(inputs: OpInputs, name: string): number {
  const value = inputs.attrs.get(name);
  invariant(typeof value === 'number', () => `attribute ${name} is ${String(value)}, not a number`);
  return value;
}

export function flagAttr(inputs: OpInputs, name: string): boolean {
  return inputs.attrs.get(name) === true;
}

/** The value of a choice, which `parseAttrs` has tested. */
export function choiceAttr<Choice extends string>(inputs: OpInputs, name: string): Choice {
  return inputs.attrs.get(name) as Choice;
}
