/** A row of a table of cases that is a whole deployment. */
import { ConfigError } from '../../core/errors.ts';
import { quoted } from '../../core/text/quoted.ts';
import { cellText } from '../../hardware/case-columns.ts';
import { hardwareNamed } from '../../hardware/profiles/named.ts';
import type { Profile } from '../../hardware/profiles/profile.ts';
import { type ModelFacts } from '../models/facts.ts';
import { frameworkOf } from '../serving/framework.ts';
import type { Placement } from '../serving/placement.ts';
import { rankLedger, shortOf } from '../serving/ledger.ts';
import { precisionInName, precisionNamed, type Precision } from '../serving/precision.ts';
import { routingHere, type Routing } from '../serving/routing.ts';
import { closedLoop, lengthsOfBenchmark } from '../simulate/workload.ts';
import { project, type Projection } from './project.ts';
import { derivedPlacement } from './derived-placement.ts';
import { cellOf, regionOf, type Cell, type Region } from './region.ts';

/** Columns in. Empty ones are derived, or have a default. */
export const SERVING_COLUMNS = [
  'id',
  'model',
  'hardware',
  'gpus',
  'attn_tp',
  'attn_dp',
  'pp',
  'moe_tp',
  'ep',
  'expert_slots',
  'precision',
  'phase',
  'isl',
  'osl',
  'concurrency',
  'batch_per_gpu',
  'routing',
  'framework',
] as const;

/** Columns out. */
export const SERVING_ANSWERS = [
  'ttft_ms',
  'tpot_ms',
  'e2e_ms',
  'in_tok_s_gpu',
  'out_tok_s_gpu',
  'memory_gb',
  'low',
  'high',
  'note',
] as const;

export type Phase = 'prefill' | 'decode' | 'both';
export const PHASES: readonly Phase[] = ['prefill', 'decode', 'both'];

const PHASE_WORDS: Readonly<Record<string, Phase>> = {
  ...{ context: 'prefill', ctx: 'prefill', prompt: 'prefill' },
  ...{ generation: 'decode', gen: 'decode' },
  ...{ agg: 'both', aggregated: 'both', e2e: 'both', mixed: 'both' },
};

/** @throws ConfigError for a phase that there is not. */
export function phaseNamed(text: string): Phase {
  const word = text.toLowerCase();
  const found = PHASES.find((name) => name === word) ?? PHASE_WORDS[word];
  if (found !== undefined) return found;
  throw new ConfigError(`phase is ${quoted(text)}; it must be one of ${PHASES.join(', ')}.`);
}

/** A deployment's cells by column; what is absent or '' is derived. */
export type ServingRow = Readonly<Partial<Record<(typeof SERVING_COLUMNS)[number], string>>>;

export interface ServingAnswer {
  readonly phase: Phase;
  readonly cells: Readonly<
    Record<'ttft_ms' | 'tpot_ms' | 'e2e_ms' | 'in_tok_s_gpu' | 'out_tok_s_gpu', Cell | undefined>
  >;
  readonly memoryGb: number;
  readonly note: string;
  readonly projection: Projection;
}

/** The column that a heading names. */
export function servingColumn(heading: string): string | undefined {
  const plain = heading.trim().toLowerCase().replaceAll(/[\s-]/g, '_');
  const other: Readonly<Record<string, string>> = {
    ...{ backend: 'framework', system: 'hardware', gpu: 'hardware', num_gpus: 'gpus', dtype: 'precision' },
    ...{
      tp: 'attn_tp',
      dp: 'attn_dp',
      moe_ep: 'ep',
      slots: 'expert_slots',
      dist: 'routing',
      conc: 'concurrency',
    },
  };
  return (SERVING_COLUMNS as readonly string[]).includes(plain) ? plain : other[plain];
}

/** Requests for each that is there at once, as InferenceX sends them: the burst at the begin counts a tenth in its means. */
const ROUNDS = 10;
/** As many as the fits simulate: more change no mean. */
const MOST_REQUESTS = 5000;
const MOST_CONCURRENCY = 100_000;
const MOST_TOKENS = 16_777_216;

/** How cells are read that may hold a path too. */
export interface CellReaders {
  readonly hardwareOf?: (name: string) => Profile;
  readonly routingOf?: (text: string, model: ModelFacts) => Routing;
}

/** @param modelOf reads the model of a name or a path. @throws ConfigError for what cannot be projected, saying why. */
export function projectRow(
  row: ServingRow,
  modelOf: (name: string) => ModelFacts,
  { hardwareOf = hardwareNamed, routingOf = routingHere }: CellReaders = {},
): ServingAnswer {
  const text = (column: keyof ServingRow): string => cellText(row[column]) ?? '';
  const whole = (column: keyof ServingRow, most: number): number | undefined => {
    if (text(column) === '') return undefined;
    const value = Number(text(column));
    if (Number.isInteger(value) && value >= 1 && value <= most) return value;
    throw new ConfigError(
      `${column} is ${quoted(text(column))}; it must be a whole number from 1 to ${most}.`,
    );
  };
  for (const column of ['model', 'hardware'] as const) {
    if (text(column) === '') throw new ConfigError(`the row names no ${column}.`);
  }
  const model = modelOf(text('model'));
  const hardware = hardwareOf(text('hardware'));
  const asked = phaseNamed(text('phase') || 'both');
  const isl = whole('isl', MOST_TOKENS) ?? 1024;
  // Who asks for one token asks for the prompt alone.
  const osl = asked === 'prefill' ? 1 : (whole('osl', MOST_TOKENS) ?? 1024);
  const phase = asked === 'both' && osl === 1 ? 'prefill' : asked;
  const { framework, named } = frameworkOf(cellText(row.framework), model.name);
  const precision =
    text('precision') === ''
      ? (precisionInName(text('model')) ?? usualPrecision(model, hardware))
      : precisionNamed(text('precision'));
  const fits = (placement: Placement): boolean =>
    shortOf(rankLedger({ model, hardware, placement, precision, framework }), { framework }, isl + osl) <= 0;
  const given = {
    gpus: whole('gpus', 65536),
    attnTp: whole('attn_tp', 65536),
    attnDp: whole('attn_dp', 65536),
    pp: whole('pp', 65536),
    moeTp: whole('moe_tp', 65536),
    ep: whole('ep', 65536),
    expertSlots: whole('expert_slots', 65536),
  };
  const placement = derivedPlacement(model, hardware, given, fits);
  const gpus = placement.attnTp * placement.attnDp * placement.pp * placement.replicas;
  const perGpu = text('batch_per_gpu') === '' ? undefined : Number(text('batch_per_gpu'));
  if (perGpu !== undefined && !(perGpu > 0 && perGpu <= 65536)) {
    throw new ConfigError(`batch_per_gpu is ${quoted(text('batch_per_gpu'))}; it must be a positive number.`);
  }
  const concurrency = whole('concurrency', MOST_CONCURRENCY) ?? Math.max(1, Math.round((perGpu ?? 1) * gpus));
  if (concurrency > MOST_CONCURRENCY)
    throw new ConfigError(`${concurrency} requests at once are more than ${MOST_CONCURRENCY}.`);
  const both = phase === 'both';
  const count = Math.max(
    concurrency,
    Math.min(MOST_REQUESTS, both ? Math.max(concurrency * ROUNDS, concurrency + 16) : concurrency),
  );
  const projection = project({
    model,
    hardware,
    placement,
    precision,
    framework,
    routing: routingOf(text('routing'), model),
    workload: closedLoop(
      both ? lengthsOfBenchmark(isl, osl) : { input: isl, output: osl, least: 1 },
      concurrency,
      count,
    ),
    phase,
  });
  const answer = answerOf(projection, phase, regionOf(model, hardware, placement, named));
  return named === undefined
    ? { ...answer, note: `${answer.note}; no framework is named: ${framework.name}'s habits` }
    : answer;
}

function answerOf(projection: Projection, phase: Phase, region: Region): ServingAnswer {
  const { summary, gpus, memoryBytes } = projection;
  const inRate = cellOf(summary.inputTokensPerS / gpus, 'rate', region);
  const outRate = cellOf(summary.outputTokensPerS / gpus, 'rate', region);
  const cells = {
    ttft_ms: phase === 'decode' ? undefined : cellOf(summary.ttftMs.mean, 'ttft', region),
    tpot_ms: phase === 'prefill' ? undefined : cellOf(summary.tpotMs.mean, 'tpot', region),
    e2e_ms: cellOf(summary.e2eMs.mean, phase === 'prefill' ? 'ttft' : 'tpot', region),
    in_tok_s_gpu: phase === 'decode' ? undefined : inRate,
    out_tok_s_gpu: phase === 'prefill' ? undefined : outRate,
  };
  const of = phase === 'prefill' ? 'ttft_ms' : 'tpot_ms';
  const queue =
    phase === 'decode' ? '' : `; ${(100 * summary.queueingShare).toFixed(0)} % of TTFT is queueing`;
  const note = `${region.covered ? 'modelled' : 'assumed'}, ${region.region}; low and high are of ${of}${queue}`;
  return { phase, cells, memoryGb: memoryBytes / 1e9, note, projection };
}

/** As its makers store it, or the next wider format that the hardware multiplies. */
export function usualPrecision({ precision }: ModelFacts, { peakTflops }: Profile): Precision {
  if (precision === 'fp4' && peakTflops.fp4 === undefined) return 'fp4';
  return precision === 'fp8' && peakTflops.fp8 === undefined ? 'bf16' : precision;
}
