/** Arithmetic of whole numbers as a text, for grids where no code may be run: 'ceil(numCols / TILE)'. */
import { ConfigError } from '../../core/errors.ts';
import { didYouMean } from '../../core/text/near-names.ts';
import { quoted } from '../../core/text/quoted.ts';

export type Formula = (names: Readonly<Record<string, number>>) => number;

/** Letters of a formula, so that nesting stays shallow. A guess. */
const MOST_LETTERS = 400;

const FUNCTIONS: Readonly<Record<string, (...values: number[]) => number>> = {
  ...{ ceil: Math.ceil, floor: Math.floor, min: Math.min, max: Math.max },
};
const RULE = 'It is of names, whole numbers, + - * / %, parentheses, and ceil, floor, min, max.';

/**
 * parseFormula('ceil(n / 8) + 1', 'its grid')({ n: 17 }) = 4.
 * @throws ConfigError for what is no formula; the formula itself throws one for a name that it is not given.
 */
export function parseFormula(text: string, what: string): Formula {
  const refuse = (why: string): never => {
    throw new ConfigError(`${what} is ${quoted(text)}: ${why}. ${RULE}`);
  };
  if (text.length > MOST_LETTERS) return refuse(`it has more than ${MOST_LETTERS} letters`);
  const tokens = text.match(/[A-Za-z_]\w*|\d+|[-+*/%(),]|\S/g) ?? [];
  let next = 0;
  const take = (token: string): boolean => tokens[next] === token && ++next > 0;
  const expect = (token: string): void => {
    if (!take(token)) refuse(`there is ${quoted(tokens[next] ?? 'its end')} where ${token} should be`);
  };

  const sum = (): Formula => {
    let left = product();
    for (;;) {
      const [a, sign] = [left, tokens[next]];
      if (sign !== '+' && sign !== '-') return left;
      next += 1;
      const b = product();
      left = sign === '+' ? (names) => a(names) + b(names) : (names) => a(names) - b(names);
    }
  };
  const product = (): Formula => {
    let left = value();
    for (;;) {
      const [a, sign] = [left, tokens[next]];
      if (sign !== '*' && sign !== '/' && sign !== '%') return left;
      next += 1;
      const b = value();
      if (sign === '*') left = (names) => a(names) * b(names);
      else left = sign === '/' ? (names) => a(names) / b(names) : (names) => a(names) % b(names);
    }
  };
  const value = (): Formula => {
    const token = tokens[next++] ?? refuse('it ends too early');
    if (token === '(') {
      const inner = sum();
      expect(')');
      return inner;
    }
    if (/^\d/.test(token)) return () => Number(token);
    if (!/^\w/.test(token)) return refuse(`${quoted(token)} has no place there`);
    return tokens[next] === '(' ? call(token) : named(token);
  };
  const call = (name: string): Formula => {
    const apply = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
    if (apply === undefined) return refuse(`there is no function ${quoted(name)}`);
    expect('(');
    const given = [sum()];
    while (take(',')) given.push(sum());
    expect(')');
    return (names) => apply(...given.map((one) => one(names)));
  };
  const named =
    (name: string): Formula =>
    (names) => {
      const found = Object.hasOwn(names, name) ? names[name] : undefined;
      return (
        found ??
        refuse(
          `there is no ${name}${didYouMean(name, Object.keys(names))}; there is ${Object.keys(names).join(', ')}`,
        )
      );
    };

  const whole = sum();
  if (next < tokens.length) refuse(`${quoted(tokens[next])} has no place there`);
  return whole;
}
