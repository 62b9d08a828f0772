/** Errors of projected deployments, region by region, on models and hardware that the figures were fitted without. */
import { at, maxOf } from '../../core/math.ts';
import { quantileOf, type RegionAccuracy } from '../../hardware/curves/accuracy.ts';
import { SPREAD } from '../serving/figures.ts';
import { leftOutRows, rateOf, type LeftOutRow, type Pair } from './rows.ts';

/** Where more than so much of TTFT is queueing, it tells of the queue and of nothing else. */
const MOST_QUEUEING = 0.3;

interface Quantity {
  readonly name: string;
  readonly of: (row: LeftOutRow, pair: Pair) => number;
  readonly bounds: 'tpot' | 'ttft' | 'rate';
  /** Largest over least of one configuration repeated, less 1: README of the published measurements. */
  readonly noise: RegionAccuracy['noise'];
  /** @param queueing share of its TTFT. */
  readonly takes: (queueing: number) => boolean;
}

const QUANTITIES: readonly Quantity[] = [
  {
    name: 'serving TPOT',
    of: (_, { tpotMs }) => tpotMs,
    bounds: 'tpot',
    noise: { median: 0.007, p90: 0.086 },
    takes: () => true,
  },
  {
    name: 'serving TTFT',
    of: (_, { ttftMs }) => ttftMs,
    bounds: 'ttft',
    noise: { median: 0.036, p90: 0.178 },
    takes: (queueing) => queueing < MOST_QUEUEING,
  },
  {
    name: 'serving rate',
    of: rateOf,
    bounds: 'rate',
    noise: null,
    takes: () => true,
  },
];

interface Way {
  readonly leftOut: string;
  readonly of: (row: LeftOutRow) => Pair;
  readonly queueing: (row: LeftOutRow) => number;
  readonly spread: keyof typeof SPREAD;
}

const NAMED = { queueing: ({ queueing }: LeftOutRow) => queueing, spread: 'named' } as const;

const WAYS: readonly Way[] = [
  { leftOut: 'a model on a hardware', of: ({ withoutFamily }) => withoutFamily, ...NAMED },
  { leftOut: 'a model', of: ({ withoutModel }) => withoutModel, ...NAMED },
  { leftOut: 'a hardware', of: ({ withoutHardware }) => withoutHardware, ...NAMED },
  {
    leftOut: 'a model on a hardware, framework not named',
    of: ({ unnamed }) => unnamed,
    queueing: ({ unnamedQueueing }) => unnamedQueueing,
    spread: 'unnamed',
  },
];

/** A region's errors over these rows. */
function regionOf(
  rows: readonly LeftOutRow[],
  { name, of, bounds, noise }: Quantity,
  { leftOut, of: predicted, spread }: Way,
  part: Pick<RegionAccuracy, 'hardware' | 'kind' | 'model'>,
): RegionAccuracy {
  const errors: number[] = [];
  let within = 0;
  for (const row of rows) {
    const ratio = of(row, row.measured) / of(row, predicted(row));
    errors.push(Math.abs(1 / ratio - 1));
    const [low, high] = SPREAD[spread][row.mixture ? 'mixture' : 'dense'][bounds];
    if (ratio >= low && ratio <= high) within++;
  }
  return {
    ...{ operation: name, ...part, layout: '', leftOut, rows: rows.length, noise },
    ...{ median: quantileOf(errors, 0.5), p90: quantileOf(errors, 0.9), covered: within / rows.length },
  };
}

/** Regions whose name holds `part`. */
export function servingAccuracy(part = ''): { overall: RegionAccuracy[]; regions: RegionAccuracy[] } {
  const overall: RegionAccuracy[] = [];
  const regions: RegionAccuracy[] = [];
  for (const quantity of QUANTITIES) {
    const groups = new Map<string, LeftOutRow[]>();
    for (const row of leftOutRows()) {
      const { hardware, framework, precision, model } = row;
      const name = [hardware, `${framework} ${precision}`, model].join('|');
      if (!`${quantity.name} ${name.replaceAll('|', ' ')}`.toLowerCase().includes(part.toLowerCase()))
        continue;
      groups.set(name, [...(groups.get(name) ?? []), row]);
    }
    if (groups.size === 0) continue;
    for (const way of WAYS) {
      const told = (rows: readonly LeftOutRow[]): LeftOutRow[] =>
        rows.filter((row) => quantity.takes(way.queueing(row)) && way.of(row).tpotMs > 0);
      const all = told([...groups.values()].flat());
      for (const [kind, rows] of [
        ['mixtures', all.filter(({ mixture }) => mixture)],
        ['dense', all.filter(({ mixture }) => !mixture)],
      ] as const) {
        if (rows.length > 0)
          overall.push(regionOf(rows, quantity, way, { hardware: 'all', kind, model: '' }));
      }
      for (const [name, some] of groups) {
        const rows = told(some);
        if (rows.length === 0) continue;
        const [hardware = '', kind = '', model = ''] = name.split('|');
        regions.push(regionOf(rows, quantity, way, { hardware, kind, model }));
      }
    }
  }
  return { overall, regions };
}

/** Of alternatives of one deployment the layout that is chosen, and what it delivers of the best measured. */
interface Choice {
  readonly model: string;
  readonly hardware: string;
  readonly framework: string;
  /** 1 - measured rate of the chosen / of the best. */
  readonly shortfall: number;
}

/** Within so much of the best a choice is right: what repeats of one measurement differ by. */
const RIGHT = 0.05;

/** What alternatives have in common beside model, hardware, framework, format and load. */
const AMONG = {
  'all alternatives': () => '',
  'alternatives on as many GPUs': ({ gpus }: LeftOutRow) => `${gpus}`,
  'as many GPUs, one version of the server': ({ gpus, version }: LeftOutRow) => `${gpus} ${version}`,
} as const;
export type Among = keyof typeof AMONG;

/** Of every group of layouts that were measured beside each other the one that projections choose. */
export function choices(among: Among): Choice[] {
  const groups = new Map<string, LeftOutRow[]>();
  for (const row of leftOutRows()) {
    const { model, hardware, framework, precision, isl, osl, concurrency } = row;
    const name = [model, hardware, framework, precision, isl, osl, concurrency, AMONG[among](row)].join(' ');
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  return [...groups.values()].flatMap((rows) => {
    const layouts = new Set(rows.map(({ layout, gpus }) => `${layout} ${gpus}`));
    if (layouts.size < 2) return [];
    const measured = (row: LeftOutRow): number => rateOf(row, row.measured);
    const projected = (row: LeftOutRow): number => rateOf(row, row.withoutModel);
    const best = maxOf(rows.map(measured));
    const chosen = rows.reduce((a, b) => (projected(b) > projected(a) ? b : a));
    const { model, hardware, framework } = at(rows, 0);
    return [{ model, hardware, framework, shortfall: 1 - measured(chosen) / best }];
  });
}

/** How often the layout that projections choose is as good as the best measured. @param part of a region's name. */
export function rankingAccuracy(part = ''): { overall: RegionAccuracy[]; regions: RegionAccuracy[] } {
  const overall: RegionAccuracy[] = [];
  const regions: RegionAccuracy[] = [];
  for (const among of Object.keys(AMONG) as Among[]) {
    const leftOut = `the model; ${among}`;
    const groups = new Map<string, Choice[]>();
    for (const choice of choices(among)) {
      const name = [choice.hardware, choice.framework, choice.model].join('|');
      if (!`layout choice ${name.replaceAll('|', ' ')}`.toLowerCase().includes(part.toLowerCase())) continue;
      groups.set(name, [...(groups.get(name) ?? []), choice]);
    }
    const region = (some: readonly Choice[], hardware: string, kind: string, model: string) => {
      const losses = some.map(({ shortfall }) => shortfall);
      const right = losses.filter((loss) => loss <= RIGHT).length;
      return {
        ...{ operation: 'layout choice', hardware, kind, model, layout: '', leftOut, rows: some.length },
        ...{ median: quantileOf(losses, 0.5), p90: quantileOf(losses, 0.9), covered: right / some.length },
        noise: null,
      };
    };
    if (groups.size === 0) continue;
    overall.push(region([...groups.values()].flat(), 'all', '', ''));
    for (const [name, some] of groups) {
      const [hardware = '', kind = '', model = ''] = name.split('|');
      regions.push(region(some, hardware, kind, model));
    }
  }
  return { overall, regions };
}
