/** A row of a table of cases that is a whole deployment. */
import { ConfigError } from '../../core/errors.ts';
import { quoted } from '../../core/text/quoted.ts';
import { hardwareNamed } from '../../hardware/profiles/named.ts';
import type { Profile } from '../../hardware/profiles/profile.ts';
import { mixtureLayers, type ModelFacts } from '../models/facts.ts';
import { frameworkNamed } from '../serving/framework.ts';
import type { Placement } from '../serving/placement.ts';
import { precisionNamed, type Precision } from '../serving/precision.ts';
import { routingNamed } from '../serving/routing.ts';
import { closedLoop } from '../simulate/workload.ts';
import { project, type Projection } from './project.ts';
import { cellOf, regionOf, type Cell } from './region.ts';

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
  const other: Readonly<Record<string, string>> = { backend: 'framework', system: 'hardware', tp: 'attn_tp' };
  return (SERVING_COLUMNS as readonly string[]).includes(plain) ? plain : other[plain];
}

/** Lengths of a closed loop are uniform from this share of the nominal ones on, as the benchmarks of the calibration draw them. */
const LEAST_LENGTH = 0.8;
/** Requests for each that is there at once, as InferenceX sends them: the burst at the begin counts a tenth in its means. */
const ROUNDS = 10;
const MOST_REQUESTS = 20000;
const MOST_CONCURRENCY = 100_000;
const MOST_TOKENS = 16_777_216;

/** @param modelOf reads the model of a name or a path. @throws ConfigError for what cannot be projected, saying why. */
export function projectRow(row: ServingRow, modelOf: (name: string) => ModelFacts): ServingAnswer {
  const text = (column: keyof ServingRow): string => (row[column] ?? '').trim();
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
  const hardware = hardwareNamed(text('hardware'));
  const phase = PHASES.find((name) => name === (text('phase').toLowerCase() || 'both'));
  if (phase === undefined)
    throw new ConfigError(`phase is ${quoted(text('phase'))}; it must be one of ${PHASES.join(', ')}.`);
  const placement = placementOf(model, hardware, {
    gpus: whole('gpus', 65536),
    attnTp: whole('attn_tp', 65536),
    attnDp: whole('attn_dp', 65536),
    pp: whole('pp', 65536),
    moeTp: whole('moe_tp', 65536),
    ep: whole('ep', 65536),
    expertSlots: whole('expert_slots', 65536),
  });
  const gpus = placement.attnTp * placement.attnDp * placement.pp * placement.replicas;
  const perGpu = text('batch_per_gpu') === '' ? undefined : Number(text('batch_per_gpu'));
  if (perGpu !== undefined && !(perGpu > 0 && perGpu <= 65536)) {
    throw new ConfigError(`batch_per_gpu is ${quoted(text('batch_per_gpu'))}; it must be a positive number.`);
  }
  const concurrency = whole('concurrency', MOST_CONCURRENCY) ?? Math.max(1, Math.round((perGpu ?? 1) * gpus));
  if (concurrency > MOST_CONCURRENCY)
    throw new ConfigError(`${concurrency} requests at once are more than ${MOST_CONCURRENCY}.`);
  const isl = whole('isl', MOST_TOKENS) ?? 1024;
  const osl = phase === 'prefill' ? 1 : (whole('osl', MOST_TOKENS) ?? 1024);
  const precision =
    text('precision') === '' ? usualPrecision(model, hardware) : precisionNamed(text('precision'));
  const framework = frameworkNamed(text('framework') || 'typical');
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
    routing: routingNamed(text('routing')),
    workload: closedLoop({ input: isl, output: osl, least: both ? LEAST_LENGTH : 1 }, concurrency, count),
    phase,
  });
  return answerOf(projection, phase, model, hardware, placement);
}

function answerOf(
  projection: Projection,
  phase: Phase,
  model: ModelFacts,
  hardware: Profile,
  placement: Placement,
): ServingAnswer {
  const { summary, gpus, memoryBytes } = projection;
  const region = regionOf(model, hardware, placement);
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

interface GivenPlacement {
  readonly gpus: number | undefined;
  readonly attnTp: number | undefined;
  readonly attnDp: number | undefined;
  readonly pp: number | undefined;
  readonly moeTp: number | undefined;
  readonly ep: number | undefined;
  readonly expertSlots: number | undefined;
}

/** What is not given follows from the rest: a stage's ranks are the same in both views, and GPUs beyond one instance are replicas. */
function placementOf(model: ModelFacts, hardware: Profile, given: GivenPlacement): Placement {
  const pp = given.pp ?? 1;
  const mixture = mixtureLayers(model) > 0;
  const byExperts = mixture && given.ep !== undefined ? given.ep * (given.moeTp ?? 1) : undefined;
  const ranks =
    given.attnTp !== undefined || given.attnDp !== undefined
      ? (given.attnTp ?? 1) * (given.attnDp ?? 1)
      : (byExperts ?? Math.max(1, Math.min(hardware.node.gpus, Math.floor((given.gpus ?? 1) / pp))));
  const attnDp = given.attnDp ?? (given.attnTp === undefined ? 1 : ranks / given.attnTp);
  const attnTp = given.attnTp ?? ranks / attnDp;
  const ep = mixture
    ? (given.ep ?? (given.moeTp === undefined ? (attnDp > 1 ? ranks : 1) : ranks / given.moeTp))
    : 1;
  const moeTp = mixture ? (given.moeTp ?? ranks / ep) : attnTp;
  const instance = attnTp * attnDp * pp;
  const gpus = given.gpus ?? instance;
  if (gpus % instance !== 0) {
    throw new ConfigError(
      `${gpus} GPUs are no multiple of attn_tp ${attnTp} x attn_dp ${attnDp} x pp ${pp} = ${instance}, the GPUs of an instance.`,
    );
  }
  return {
    attnTp,
    attnDp,
    pp,
    moeTp,
    ep,
    replicas: gpus / instance,
    gpusPerNode: hardware.node.gpus,
    ...(given.expertSlots !== undefined && { expertSlots: given.expertSlots }),
  };
}

/** As its makers store it, or the next wider format that the hardware multiplies. */
export function usualPrecision({ precision }: ModelFacts, { peakTflops }: Profile): Precision {
  if (precision === 'fp4' && peakTflops.fp4 === undefined) return 'fp4';
  return precision === 'fp8' && peakTflops.fp8 === undefined ? 'bf16' : precision;
}
