/** All families, and of each group of measurements: its fitted parameters and its field. */
import { FITS } from '../data/fits.ts';
import type { Query } from '../queries.ts';
import { DECODE, PREFILL } from './attention.ts';
import { COLLECTIVE } from './collectives.ts';
import { EXCHANGE } from './exchange.ts';
import {
  formulaUs,
  groupsOf,
  hardwareOf,
  ResidualField,
  type Family,
  type FieldEntry,
  type Row,
} from './family.ts';
import { GEMM } from './gemm.ts';
import { MLA_DECODE, MLA_PREFILL } from './mla.ts';
import { MOE } from './moe.ts';

/** What is fitted of one group, and how sure it is. */
export interface GroupFit {
  /** One per term of the family's formula. */
  readonly parameters: readonly number[];
  /**
   * Of log(measured / predicted) of shapes left out, over the deviation that kriging promised: the quantiles 0.1 and 0.9,
   * bounds of the 80 % interval.
   */
  readonly low: number;
  readonly high: number;
}

/** A family whose queries are those of its own kind: what `queryOf` gives it back, it may be asked. */
export const FAMILIES: readonly Family[] = [
  GEMM,
  MOE,
  PREFILL,
  DECODE,
  MLA_PREFILL,
  MLA_DECODE,
  COLLECTIVE,
  EXCHANGE,
];

/** The family that an operation belongs to. */
export function familyOf({ op }: Query): Family | undefined {
  const name = op.startsWith('ep-') ? 'exchange' : op;
  return (
    FAMILIES.find((family) => family.name === name) ?? FAMILIES.find(({ name }) => name === 'collective')
  );
}

const groups = new Map<string, ReadonlyMap<string, readonly Row[]>>();
const fields = new WeakMap<GroupFit, ResidualField>();

/** Names of the groups that a family has measurements of, and their rows. */
export function measuredGroups(family: Family): ReadonlyMap<string, readonly Row[]> {
  const known = groups.get(family.name) ?? groupsOf(family);
  groups.set(family.name, known);
  return known;
}

const numbers = (text: string): number[] => text.split(' ').map(Number);

const fits = new Map(
  FITS.map((line): [string, GroupFit] => {
    const [family = '', group = '', parameters = '', bounds = ''] = line.split(' | ');
    const [low = NaN, high = NaN] = numbers(bounds);
    return [`${family} ${group}`, { parameters: numbers(parameters), low, high }];
  }),
);

export function fitOf(family: Family, group: string): GroupFit | undefined {
  return fits.get(`${family.name} ${group}`);
}

/** The field of a group by the fit that ships; built at its first question. Undefined where there is none. */
export function fieldOf(
  family: Family,
  group: string,
): { readonly fit: GroupFit; readonly field: ResidualField } | undefined {
  const fit = fitOf(family, group);
  const rows = measuredGroups(family).get(group);
  if (fit === undefined || rows === undefined) return undefined;
  const field = fields.get(fit) ?? newField(family, group, fit.parameters, rows);
  fields.set(fit, field);
  return { fit, field };
}

/** A field of the rows of a group, the first ones, and those of its kin with the fits that ship, or with those of `fitOfKin`. */
export function newField(
  family: Family,
  group: string,
  parameters: readonly number[],
  rows: readonly Row[],
  fitOfKin = (kin: string): readonly number[] | undefined => fitOf(family, kin)?.parameters,
): ResidualField {
  const { kin, kriging } = family;
  const own = entriesOf(family, group, parameters, rows);
  if (kin === undefined) return new ResidualField(own, kriging);
  const others = [...measuredGroups(family)].flatMap(([other, theirs]) => {
    const fit = other === group || kin.of(other) !== kin.of(group) ? undefined : fitOfKin(other);
    return fit === undefined ? [] : entriesOf(family, other, fit, theirs);
  });
  return new ResidualField([...own, ...others], { ...kriging, scales: [...kriging.scales, ...kin.scales] });
}

function entriesOf(
  family: Family,
  group: string,
  parameters: readonly number[],
  rows: readonly Row[],
): FieldEntry[] {
  const hardware = hardwareOf(group);
  const formula = (query: Query): number => formulaUs(family.terms(query, hardware), parameters);
  return rows.map((row) => ({ row, features: placeOf(family, group, row.features), formula }));
}

/** Features of a shape in the field of a group. */
export function placeOf(
  { kin }: Pick<Family, 'kin'>,
  group: string,
  features: readonly number[],
): readonly number[] {
  return kin === undefined ? features : [...features, ...kin.features(group)];
}
