/**
 * A family of measured curves: one operation on several systems. A formula of few fitted parameters says how long a shape
 * takes, and kriging over the shapes that were measured says what the formula misses. Both are given a shape as a query, so
 * a query of any shape, and of hardware that was not measured, has an answer.
 */
import { at } from '../../core/math.ts';
import { hardwareNamed } from '../profiles/named.ts';
import type { Profile } from '../profiles/profile.ts';
import type { Query } from '../queries.ts';
import { Kriging, type KrigingOptions } from './kriging.ts';
import { rowsOf, type PackedTable } from './pack.ts';

/**
 * What a shape has to do, us each at the printed figures. Terms of `plus` add up; those of `compute` and of `memory` overlap:
 * us = plus . p + hypot(compute . p, memory . p), every p fitted and positive. With `slows` the overlapping part is that times
 * slows^p, p the last.
 */
export interface Terms {
  readonly plus: readonly number[];
  readonly compute: readonly number[];
  readonly memory: readonly number[];
  readonly slows?: number;
}

export interface Family<Q extends Query = Query> {
  readonly name: string;
  readonly tables: readonly PackedTable[];
  /** Groups share parameters: hardware first, then what else divides, as in 'h100_sxm fp8'. */
  group(key: Row['key']): string;
  /** Rows that are left out together when a fit is judged: one shape, one model. */
  block(key: Row['key']): string;
  /** What a cell of the table measures; undefined for cells that this family does not take. */
  query(key: Row['key'], knot: number): Q | undefined;
  terms(query: Q, hardware: Profile): Terms;
  /** Where a shape lies among others, in logarithms: distances that kriging is given. */
  features(query: Q): readonly number[];
  /** Their names. */
  readonly axes: readonly string[];
  /** Logarithm of the size along which a curve runs. */
  size(query: Q): number;
  /** Its name. */
  readonly along: string;
  /** The first parameters that a fit tries; as many as there are terms at most. */
  readonly start: readonly number[];
  readonly kriging: KrigingOptions & {
    /** Variance that an answer in the middle between two measured sizes has on top, relative to that of the field. */
    readonly between: number;
  };
  /** Whether a group is judged by parameters that have not seen what is left out: where few rows tell each of them. */
  refitted?(group: string): boolean;
  /** Groups that run the same code: what one misses at a shape tells what another misses there. */
  readonly kin?: Kin;
}

/** How the groups of a family share one field. */
export interface Kin {
  /** Groups of one name share. */
  of(group: string): string;
  /** Where a group lies among its kin, beside the features of a shape. */
  features(group: string): readonly number[];
  readonly scales: readonly number[];
}

export interface Row {
  readonly key: Readonly<Record<string, string>>;
  readonly features: readonly number[];
  readonly cells: readonly Cell[];
}

export interface Cell {
  readonly query: Query;
  readonly size: number;
  readonly logUs: number;
}

/** What a group was measured on, its first word. @throws ConfigError for hardware that is not known. */
export const hardwareOf = (group: string): Profile => hardwareNamed(group.split(' ', 1).join(''));

/** Parameters that terms have. */
export const termCount = ({ plus, compute, memory, slows }: Terms): number =>
  plus.length + compute.length + memory.length + (slows === undefined ? 0 : 1);

/** us by the formula alone. */
export function formulaUs({ plus, compute, memory, slows }: Terms, parameters: readonly number[]): number {
  let next = 0;
  const dot = (terms: readonly number[]): number => {
    let total = 0;
    for (const term of terms) total += term * at(parameters, next++);
    return total;
  };
  const fixed = dot(plus);
  const work = Math.hypot(dot(compute), dot(memory));
  return fixed + (slows === undefined ? work : work * slows ** at(parameters, next));
}

/** The rows of a family by group. Read once. */
export function groupsOf<Q extends Query>(family: Family<Q>): ReadonlyMap<string, readonly Row[]> {
  const groups = new Map<string, Row[]>();
  for (const table of family.tables) {
    for (const { key, logs } of rowsOf(table)) {
      const cells: Cell[] = [];
      let features: readonly number[] | undefined;
      table.knots.forEach((knot, i) => {
        const logUs = logs[i] ?? NaN;
        const query = Number.isNaN(logUs) ? undefined : family.query(key, knot);
        if (query === undefined) return;
        features ??= family.features(query);
        cells.push({ query, size: family.size(query), logUs });
      });
      if (features === undefined) continue;
      const name = family.group(key);
      const rows = groups.get(name);
      if (rows === undefined) groups.set(name, [{ key, features, cells }]);
      else rows.push({ key, features, cells });
    }
  }
  return groups;
}

/** A row of a field. */
export interface FieldEntry {
  readonly row: Row;
  readonly features: readonly number[];
  readonly formula: (query: Query) => number;
}

/** What the formula misses at the shapes of a group, and what to expect that it misses elsewhere. */
export class ResidualField {
  readonly rows: readonly Row[];
  private readonly kriging: Kriging;
  private readonly between: number;
  /** Of each row: sizes that were measured and log(measured / formula) there. */
  private readonly curves: readonly { readonly sizes: number[]; readonly left: number[] }[];
  /** Root mean square of all of them. */
  readonly spread: number;

  /** Of each row where it lies, and us of a query by the formula of its group. */
  constructor(entries: readonly FieldEntry[], options: Family['kriging']) {
    this.rows = entries.map(({ row }) => row);
    this.between = options.between;
    this.kriging = new Kriging(
      entries.map(({ features }) => features),
      options,
    );
    this.curves = entries.map(({ row: { cells }, formula }) => ({
      sizes: cells.map(({ size }) => size),
      left: cells.map(({ query, logUs }) => logUs - Math.log(formula(query))),
    }));
    const all = this.curves.flatMap(({ left }) => left);
    this.spread = Math.sqrt(all.reduce((total, e) => total + e * e, 0) / Math.max(1, all.length));
  }

  /** log(us / formula) to expect, and its standard deviation by the field alone. */
  at(features: readonly number[], size: number): { left: number; deviation: number } {
    const { weights, variance } = this.kriging.weightsAt(features);
    let left = 0;
    let most = 0;
    let apart = 0;
    this.curves.forEach((curve, i) => {
      const weight = weights[i] ?? 0;
      left += weight * interpolated(curve.sizes, curve.left, size);
      if (Math.abs(weight) <= most) return;
      most = Math.abs(weight);
      apart = middling(curve.sizes, size);
    });
    return { left, deviation: this.spread * Math.sqrt(variance + apart * this.between) };
  }

  /**
   * The cells of rows that are left out together, as predicted without them: log(measured / predicted), and the deviation
   * that was promised.
   */
  leftOut(block: readonly number[]): LeftOut[] {
    const { errors, variances } = this.kriging.leaving(block);
    const known = new Map<number, number[]>();
    const errorsAt = (size: number): number[] => {
      const found =
        known.get(size) ??
        errors(Float64Array.from(this.curves, (curve) => interpolated(curve.sizes, curve.left, size)));
      known.set(size, found);
      return found;
    };
    return block.flatMap((index, b) => {
      const row = at(this.rows, index);
      const deviation = this.spread * Math.sqrt(at(variances, b));
      return row.cells.map((cell) => ({ row, cell, error: at(errorsAt(cell.size), b), deviation }));
    });
  }
}

/** One measured cell, predicted without its row and those that go with it. */
export interface LeftOut {
  readonly row: Row;
  readonly cell: Cell;
  /** log(measured / predicted). */
  readonly error: number;
  /** What was promised of it. */
  readonly deviation: number;
}

/** 0 at a measured size and beyond the ends, 1 in the middle between two. */
function middling(sizes: readonly number[], size: number): number {
  const above = sizes.findIndex((one) => one >= size);
  if (above <= 0) return 0;
  const share = (size - at(sizes, above - 1)) / (at(sizes, above) - at(sizes, above - 1));
  return 4 * share * (1 - share);
}

/** Straight between neighbours, constant beyond the ends. */
export function interpolated(sizes: readonly number[], values: readonly number[], size: number): number {
  const last = sizes.length - 1;
  if (!(size > at(sizes, 0))) return at(values, 0);
  if (size >= at(sizes, last)) return at(values, last);
  let i = 1;
  while (at(sizes, i) < size) i++;
  const share = (size - at(sizes, i - 1)) / (at(sizes, i) - at(sizes, i - 1));
  return at(values, i - 1) + share * (at(values, i) - at(values, i - 1));
}
