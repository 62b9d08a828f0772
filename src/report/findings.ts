/** What a reader of a result wants first: a sentence, five numbers, and where time could be won back. */
import type { Provenance } from '../bench/result.ts';
import { maxOf, sum } from '../core/math.ts';
import { formatNumber, formatSi } from '../core/units.ts';
import { summarise } from '../measure/statistics.ts';
import type { StoredBenchResult } from './file/schema.ts';

/** Read-only at any depth. */
type Fixed<T> = T extends readonly (infer E)[]
  ? readonly Fixed<E>[]
  : T extends object
    ? { readonly [K in keyof T]: Fixed<T[K]> }
    : T;

/** What is told of: a result that was read, or one that was just measured. */
export type Told = Fixed<Omit<StoredBenchResult, 'adapter'>> & {
  readonly adapter: { readonly facts: Pick<StoredBenchResult['adapter']['facts'], 'name' | 'kind'> };
};

export interface Tile {
  readonly what: string;
  readonly value: string;
  /** What it is to be seen beside, and on what terms. */
  readonly beside: string;
  /** Undefined where there is no number. */
  readonly source?: Provenance;
}

export type StoredKernel = Told['kernels'][number];

/** True unless the adapter is known to be a GPU: then no time here is a GPU's. */
export const isNoGpu = ({ adapter }: Told): boolean => adapter.facts.kind !== 'gpu';

/** Undefined on a GPU. */
export function softwareWarning(result: Told): string | undefined {
  const { name, kind } = result.adapter.facts;
  if (kind === 'gpu') return undefined;
  const what =
    kind === 'unknown' ? `${name} does not say that it is a GPU` : `${name} is software: a CPU plays the GPU`;
  return `${what}. No time here is a GPU's, and nothing here says whether a GPU meets the target.`;
}

const OUTCOMES = {
  pass: 'What was checked is right',
  failed: 'Something is wrong; this much holds',
  incomplete: 'Not all was measured; this much holds',
} as const;

/** The outcome in words and what holds, then what fails, then what is open. */
export function verdictSentence({ verdict }: Told): string {
  const told = (state: 'pass' | 'fail' | 'open', head: string): string => {
    const texts = verdict.judgements
      .filter((judged) => judged.state === state)
      // "not judged ..." says of what only beside its name.
      .map(({ what, text }) => (text.startsWith('not ') ? `the ${what} is ${text}` : text));
    return texts.length === 0 ? '' : `${head}${texts.join('; ')}.`;
  };
  const holds =
    told('pass', `${OUTCOMES[verdict.outcome]}: `) || `${OUTCOMES[verdict.outcome].replace(/; this.*/, '')}.`;
  return [holds, told('fail', 'Fails: '), told('open', 'Open: ')].filter((text) => text !== '').join(' ');
}

export function tilesOf(result: Told): Tile[] {
  return [ratioTile(result), rateTile(result), checksTile(result), peakTile(result), needsTile(result)];
}

function ratioTile({ forward, layout }: Told): Tile {
  const { ratio, sharded } = forward ?? {};
  const what = `${sharded?.worldSize ?? 'all'} ranks beside one`;
  if (ratio === undefined) return { what, value: 'none', beside: 'no forward pass was timed' };
  return {
    ...{ what, value: `${formatNumber(ratio.median)} times`, source: 'measured' },
    beside: `${formatNumber(ratio.low)} to ${formatNumber(ratio.high)}, ${ratio.count} rounds, one adapter plays ${layout}`,
  };
}

function rateTile(result: Told): Tile {
  const { card, rates, target, model } = result;
  const goal = `the target is ${formatNumber(target.targetTokensPerMsPerGpu)}`;
  const what = 'tokens/ms per GPU';
  if (card?.state === 'measured') {
    return {
      ...{ what, value: formatNumber(summarise(card.tokensPerMs).median), source: 'measured' },
      beside: `${target.preset}, ${card.layers} of ${card.modelLayers} layers; ${goal}`,
    };
  }
  if (rates === null) return { what, value: 'none', beside: `no pass was timed; ${goal}` };
  return {
    ...{ what, value: formatNumber(rates.tokensPerMsPerGpu), source: 'measured' },
    beside: `${goal} of ${target.preset}; this is ${model}${isNoGpu(result) ? ' on a CPU' : ''}: not to be compared`,
  };
}

function checksTile({ checks }: Told): Tile {
  const of = (key: 'runs' | 'failed'): number => sum(checks.kernels.map((family) => family[key]));
  const model = checks.model?.checks ?? [];
  const failed =
    of('failed') + model.filter(({ pass }) => !pass).length + (checks.model?.error === undefined ? 0 : 1);
  const runs = `${of('runs')} kernel runs`;
  return {
    ...{ what: 'checks', source: 'measured' },
    value: failed === 0 ? 'all pass' : `${failed} failed`,
    beside: `${runs} against float64${checks.model === null ? '; the model was not asked for' : `, ${model.length} checks of the model`}`,
  };
}

function peakTile(result: Told): Tile {
  const what = 'peak of this adapter';
  const peak = peakOf(result);
  if (peak === undefined) return { what, value: 'none', beside: 'no probe of it was right' };
  const most = maxOf(
    slopesOf(result).map(({ bytesPerSecond }) => bytesPerSecond),
    0,
  );
  return {
    ...{ what, value: formatSi(peak, 'FLOP/s'), source: 'measured' },
    beside: `f32 multiply-add${most > 0 ? `; at most ${formatSi(most, 'B/s')} of memory` : ''}`,
  };
}

function needsTile({ target }: Told): Tile {
  const { needs, preset, targetTokensPerMsPerGpu } = target;
  return {
    ...{ what: 'the target needs', value: formatSi(needs.flopsPerSecond, 'FLOP/s'), source: 'modelled' },
    beside: `and ${formatSi(needs.bytesPerSecond, 'B/s')} of each GPU, for ${targetTokensPerMsPerGpu} tokens/ms of ${preset}`,
  };
}

/** FLOP/s of f32. */
export function peakOf({ ceilings }: Told): number | undefined {
  const peak = ceilings.find(({ name }) => name === 'f32 multiply-add');
  return peak?.state === 'measured' ? peak.value : undefined;
}

/** Bandwidths by working set. */
export function slopesOf({
  ceilings,
}: Told): { readonly footprintBytes: number; readonly bytesPerSecond: number }[] {
  return ceilings.flatMap((ceiling) =>
    ceiling.state === 'measured' && ceiling.name === 'storage read' && ceiling.value > 0
      ? [{ footprintBytes: ceiling.footprintBytes ?? 0, bytesPerSecond: ceiling.value }]
      : [],
  );
}

export interface Recoverable {
  readonly kernel: StoredKernel;
  /** Median, ns per run. */
  readonly ns: number;
  /** Share of the measured roof, at most 1. */
  readonly share: number;
  /** time x (1 - share): what is left to win, were the roof reached. */
  readonly recoverableNs: number;
}

/**
 * Variants that are taken here, most to win first; parts that no op exposes alone count where there is nothing else,
 * since many of their cases are there to be checked. Empty where there is no roof.
 */
export function recoverable({ kernels }: Told): Recoverable[] {
  const exposed = kernels.filter(({ family }) => family !== 'internal');
  return (exposed.length === 0 ? kernels : exposed)
    .flatMap((kernel) => {
      const { timing, roof, chosen } = kernel;
      if (!chosen || roof === undefined || timing.state !== 'measured') return [];
      const ns = summarise(timing.samplesNs).median;
      const share = Math.min(1, roof.share);
      return [{ kernel, ns, share, recoverableNs: ns * (1 - share) }];
    })
    .sort((a, b) => b.recoverableNs - a.recoverableNs);
}

/** 'matmul: card q, k, v: 32 rows (subgroup)' */
export function kernelName({ family, name, variant }: StoredKernel): string {
  return `${family}: ${name}${variant === 'default' ? '' : ` (${variant})`}`;
}
