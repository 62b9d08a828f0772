/**
 * A variant of one's own described in JSON, where none of its author's code may run, as in a page:
 *
 *   {"family": "matmul", "name": "textbook", "idea": "square tiles", "spec": {"TILE": 8},
 *    "grid": ["ceil(numCols / TILE)", "ceil(numRows / TILE)", "1"], "only": {"weightDtype": "f32"}}
 *
 * Formulas know the values of `spec` and the family's parameters; those of `block`, for attention, the shape's numbers.
 */
import * as v from 'valibot';
import { ConfigError } from '../../core/errors.ts';
import { quoted } from '../../core/text/quoted.ts';
import { ask, checkVariant, type OwnVariant } from './own-variant.ts';
import { parseFormula, type Formula } from './formula.ts';

const Value = v.union([v.number(), v.boolean(), v.string()]);
const Words = v.pipe(v.string(), v.maxLength(400));

const Description = v.strictObject({
  ...{ family: Words, name: Words, idea: v.exactOptional(Words, 'a kernel of my own') },
  spec: v.exactOptional(v.record(v.string(), Value)),
  features: v.exactOptional(v.array(Words)),
  grid: v.exactOptional(v.tuple([Words, Words, Words])),
  tileRows: v.exactOptional(v.number()),
  block: v.exactOptional(v.strictObject({ queries: Words, workgroups: Words })),
  /** Fields of the shape, each with the only value that it runs, or a list of them. */
  only: v.exactOptional(v.record(v.string(), v.union([Value, v.null(), v.array(v.nullable(Value))]))),
});
type Description = v.InferOutput<typeof Description>;

/**
 * @param text WGSL. @param where names the description in messages.
 * @throws ConfigError for JSON that describes no variant; what `registerVariant` refuses is refused there.
 */
export function describedVariant(json: string, text: string, where = 'the definition'): OwnVariant {
  let given: unknown;
  try {
    given = JSON.parse(json);
  } catch (error) {
    throw new ConfigError(`${where} is no JSON: ${error instanceof Error ? error.message : String(error)}.`);
  }
  const parsed = v.safeParse(Description, given, { abortEarly: true });
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const known = Object.keys(Description.entries).join(', ');
    const place = v.getDotPath(issue) ?? 'the object';
    throw new ConfigError(`${where}: ${place}: ${issue.message.slice(0, 200)}. Its fields are ${known}.`);
  }
  const variant = variantOf(parsed.output, text, where);
  checkVariant(variant, `${where}: `);
  return variant;
}

function variantOf(description: Description, text: string, where: string): unknown {
  const { family, name, idea, spec = {}, features, grid, tileRows, block, only = {} } = description;
  const constants = numbersOf(spec);
  const grids = grid?.map((one, i) => parseFormula(one, `${where}: grid ${'xyz'[i]}`));
  return {
    ...{ family, name, idea, shader: `${name}.wgsl`, text, spec },
    ...(features !== undefined && { features }),
    ...(tileRows !== undefined && { tileRows }),
    ...(grids && {
      grid: (given: object, params: object) => gridOf(grids, { ...numbersOf(given), ...numbersOf(params) }),
    }),
    ...(block && { block: blockOf(block, constants, where) }),
    refusal: (shape: object) => refusalOf(shape, only, where),
  };
}

function gridOf(grids: readonly Formula[], names: Readonly<Record<string, number>>): number[] {
  return grids.map((formula) => formula(names));
}

function blockOf(
  { queries, workgroups }: NonNullable<Description['block']>,
  constants: Readonly<Record<string, number>>,
  where: string,
) {
  const parse = (text: string, what: string): Formula => parseFormula(text, `${where}: block.${what}`);
  const [most, along] = [parse(queries, 'queries'), parse(workgroups, 'workgroups')];
  return (shape: object) =>
    ask(where, () => {
      const names = { ...constants, ...numbersOf(shape) };
      return { queries: most(names), workgroups: along(names) };
    });
}

function refusalOf(shape: object, only: NonNullable<Description['only']>, where: string): string | undefined {
  for (const [field, allowed] of Object.entries(only)) {
    const value: unknown = Reflect.get(shape, field) ?? null;
    const values: readonly unknown[] = Array.isArray(allowed) ? allowed : [allowed];
    const known = Object.keys(shape);
    if (!known.includes(field) && !values.includes(null)) {
      throw new ConfigError(`${where}: only.${field}: shapes of the family have ${known.join(', ')}.`);
    }
    if (!values.includes(value))
      return `it runs ${field} ${values.map((one) => quoted(one)).join(', ')} only`;
  }
  return undefined;
}

function numbersOf(values: object): Record<string, number> {
  const numbers = Object.entries(values).filter(([, value]) => typeof value === 'number');
  return Object.fromEntries(numbers);
}
