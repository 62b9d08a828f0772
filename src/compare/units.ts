/** The rows that two sets of result files have in common, each with its units: a value per run, or per round. */
import { ConfigError } from '../core/errors.ts';
import { at } from '../core/math.ts';
import { median } from '../measure/statistics.ts';

/** What is compared of a result file. */
export interface Run {
  /** The file, for messages. */
  readonly label: string;
  readonly adapter: string;
  readonly driver: string;
  readonly clock: string;
  /** Shape of the whole run: quick or not, layout, model. */
  readonly scope: string;
  readonly rows: ReadonlyMap<string, RunRow>;
}

export interface RunRow {
  /** What was computed, beyond the name: FLOP and bytes. */
  readonly shape: string;
  /** ns, one per round; undefined where it was not measured. */
  readonly samplesNs: readonly number[] | undefined;
}

/** Runs a side from which on the run is the unit; below, rounds are, which stand and fall together. A guess. */
export const ENOUGH_RUNS = 5;

export interface UnitRow {
  readonly name: string;
  /** ns: of side a, then of side b. */
  readonly a: readonly number[];
  readonly b: readonly number[];
  /** All samples by run. */
  readonly runs: readonly (readonly number[])[];
}

export interface Units {
  readonly unit: 'run' | 'round';
  readonly rows: readonly UnitRow[];
  /** Rows that not every run has measured, and who has not. */
  readonly missing: readonly { readonly name: string; readonly runs: readonly string[] }[];
}

export interface CompareRules {
  /** Runs on other adapters, or timed by other clocks, are set side by side all the same: what differs is then theirs too. */
  readonly across?: boolean;
}

/** @throws ConfigError for a side without runs, other adapters, clocks, scopes or shapes, and runs with no row in common. */
export function unitsOf(a: readonly Run[], b: readonly Run[], { across = false }: CompareRules = {}): Units {
  if (a.length === 0 || b.length === 0) {
    throw new ConfigError('a comparison needs result files on both sides: moebius compare A... -- B...');
  }
  const all = [...a, ...b];
  const alike = across ? (['scope'] as const) : (['adapter', 'clock', 'scope'] as const);
  for (const field of alike) requireAlike(all, field);
  const names = [...new Set(all.flatMap(({ rows }) => [...rows.keys()]))];
  const unit = Math.min(a.length, b.length) >= ENOUGH_RUNS ? 'run' : 'round';
  const missing: { name: string; runs: string[] }[] = [];
  const rows: UnitRow[] = [];
  for (const name of names) {
    const without = all.filter(({ rows: own }) => own.get(name)?.samplesNs === undefined);
    if (without.length > 0) {
      missing.push({ name, runs: without.map(({ label }) => label) });
      continue;
    }
    requireShape(all, name);
    const samples = (runs: readonly Run[]): (readonly number[])[] =>
      runs.map(({ rows: own }) => own.get(name)?.samplesNs ?? []);
    rows.push({ name, ...unitsIn(samples(a), samples(b), unit), runs: samples(all) });
  }
  if (rows.length === 0) {
    throw new ConfigError(
      'the two sides have no row in common that all runs measured. Compare runs of one command.',
    );
  }
  return { unit, rows, missing };
}

function unitsIn(
  a: readonly (readonly number[])[],
  b: readonly (readonly number[])[],
  unit: Units['unit'],
): { a: number[]; b: number[] } {
  if (unit === 'run') return { a: a.map(median), b: b.map(median) };
  return { a: a.flat(), b: b.flat() };
}

function requireAlike(runs: readonly Run[], field: 'adapter' | 'clock' | 'scope'): void {
  const first = at(runs, 0);
  const other = runs.find((run) => run[field] !== first[field]);
  if (other === undefined) return;
  throw new ConfigError(
    `${first.label} and ${other.label} are of different ${field}s: ${first[field]}, ${other[field]}. ` +
      `Only runs of the same command on the same adapter can be compared.${field === 'scope' ? '' : ' Add --across to set them side by side all the same.'}`,
  );
}

function requireShape(runs: readonly Run[], name: string): void {
  const shapes = runs.map(({ label, rows }) => ({ label, shape: rows.get(name)?.shape ?? '' }));
  const first = at(shapes, 0);
  const other = shapes.find(({ shape }) => shape !== first.shape);
  if (other === undefined) return;
  throw new ConfigError(
    `${name} is another piece of work in ${other.label} (${other.shape}) than in ${first.label} (${first.shape}). ` +
      'Times of different shapes cannot be compared.',
  );
}
