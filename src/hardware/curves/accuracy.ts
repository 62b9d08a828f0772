/** Errors of the curves, region by region, on shapes that were left out. */
import { at } from '../../core/math.ts';
import { FAMILIES, fitOf, measuredGroups, type GroupFit } from './families.ts';
import type { Family, LeftOut, Row } from './family.ts';
import { leaveOut, leaveSizes } from './judge.ts';

/** One region: an operation on a hardware, of one model where rows name theirs. Shares, as 0.03 for 3 %. */
export interface RegionAccuracy {
  readonly operation: string;
  readonly hardware: string;
  /** What else names the region: format, library, kind of exchange. */
  readonly kind: string;
  /** '' where rows are no model's. */
  readonly model: string;
  /** '' where rows have none. */
  readonly layout: string;
  /** What was left out together, each in turn. */
  readonly leftOut: string;
  readonly rows: number;
  /** Of |predicted / measured - 1|. */
  readonly median: number;
  readonly p90: number;
  /** Share of the rows that lie within their 80 % interval. */
  readonly covered: number;
  /** What repeats of one measurement differ by, as median and p90; null where none were published. */
  readonly noise: { readonly median: number; readonly p90: number } | null;
}

/** Errors on rows that were left out. */
export interface KernelAccuracy {
  /** Each operation over all its regions. */
  readonly overall: readonly RegionAccuracy[];
  readonly regions: readonly RegionAccuracy[];
}

/** A region and the errors of its rows. */
interface Part {
  readonly region: RegionAccuracy;
  readonly errors: readonly number[];
}

/** What is left out together, in words. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  gemm: 'all m of an n x k',
  moe: 'all rows of a layout of a model',
  collective: 'a number of ranks',
  exchange: 'all rows of a shape',
};

/** Largest over least of repeats in one set, less 1: README of the published tables. */
const NOISE: Readonly<Record<string, { median: number; p90: number }>> = {
  collective: { median: 0.02, p90: 0.08 },
};

/** Value below which the share `p` lies. */
export function quantileOf(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return at(sorted, Math.min(sorted.length - 1, Math.floor(p * sorted.length)));
}

/**
 * All regions whose name holds `part`. Parameters of the formulas, a handful for hundreds of rows, stay those of all rows;
 * what kriging adds comes from the others alone. MoE layers are judged a second time with all rows of a model left out.
 */
export function kernelAccuracy(part = ''): KernelAccuracy {
  const parts: Part[] = [];
  for (const family of FAMILIES) {
    for (const [group, rows] of measuredGroups(family)) {
      const fit = fitOf(family, group);
      const name = `${family.name} ${group}`;
      if (fit === undefined || !name.toLowerCase().includes(part.toLowerCase())) continue;
      const off = leaveOut(family, group, fit.parameters, rows);
      parts.push(regionOf(family, group, fit, off, { leftOut: leftOutOf(family, group) }));
      if (family.name === 'collective') {
        const sizes = leaveSizes(family, group, fit.parameters, rows);
        parts.push(
          regionOf(family, group, fit, sizes, { leftOut: leftOutOf(family, group, 'every other size') }),
        );
      }
      const models = new Set(rows.map(({ key }) => key.model ?? ''));
      if (models.size > 1) for (const region of modelRegions(family, group, fit, rows)) parts.push(region);
    }
  }
  return { overall: overall(parts), regions: parts.map(({ region }) => region) };
}

function leftOutOf(
  { name, kin }: Family,
  group: string,
  words = LEFT_OUT[name] ?? 'all sizes of a shape',
): string {
  const [fabric = '', lib = ''] = kin?.of(group).split(' ') ?? [];
  if (fabric === '') return words;
  return `${words}, ${fabric === 'NVLink' ? `${fabric} and ${lib}` : 'no NVLink'}`;
}

function modelRegions(family: Family, group: string, fit: GroupFit, rows: readonly Row[]): Part[] {
  const off = leaveOut(family, group, fit.parameters, rows, ({ key }) => key.model ?? '');
  const models = [...new Set(rows.map(({ key }) => key.model ?? ''))];
  return models.map((model) =>
    regionOf(
      family,
      group,
      fit,
      off.filter(({ row }) => (row.key.model ?? '') === model),
      { model, leftOut: 'all rows of the model' },
    ),
  );
}

function regionOf(
  family: Family,
  group: string,
  fit: GroupFit,
  off: readonly LeftOut[],
  { model = '', leftOut }: { readonly model?: string; readonly leftOut: string },
): Part {
  const [hardware = '', ...kind] = group.split(' ');
  const errors = off.map(({ error }) => Math.abs(Math.exp(-error) - 1));
  const within = off.filter(
    ({ error, deviation }) => error >= fit.low * deviation && error <= fit.high * deviation,
  );
  const region = {
    ...{
      operation: family.name,
      hardware,
      kind: kind.join(' '),
      model,
      layout: '',
      leftOut,
      rows: off.length,
    },
    median: quantileOf(errors, 0.5),
    p90: quantileOf(errors, 0.9),
    covered: within.length / off.length,
    noise: NOISE[family.name] ?? null,
  };
  return { region, errors };
}

/** All regions of an operation and a way of leaving out together: what the goals are about. */
function overall(parts: readonly Part[]): RegionAccuracy[] {
  const names = new Map<string, Part[]>();
  for (const part of parts) {
    const name = `${part.region.operation}: ${part.region.leftOut}`;
    const some = names.get(name);
    if (some === undefined) names.set(name, [part]);
    else some.push(part);
  }
  return [...names.values()].map((some) => {
    const errors = some.flatMap((part) => part.errors);
    const covered = some.reduce((total, { region }) => total + region.covered * region.rows, 0);
    return {
      ...at(some, 0).region,
      ...{ hardware: 'all', kind: '', model: '', rows: errors.length, covered: covered / errors.length },
      ...{ median: quantileOf(errors, 0.5), p90: quantileOf(errors, 0.9) },
    };
  });
}
