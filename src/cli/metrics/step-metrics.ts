/** What a step is to whoever watches a run: rates, latencies of stages, load of experts, queue. */
import { Counter, Gauge, Histogram, Registry, type OpenMetricsContentType } from 'prom-client';
import { maxOf, sum } from '../../core/math.ts';
import { NS_PER_MS, NS_PER_S } from '../../core/units.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { ExpertCounter } from '../../runtime/expert-load.ts';
import { observeSteps, type ObservedStep } from '../../runtime/step/observe.ts';
import type { StepResult } from '../../runtime/step/step.ts';

export interface StepMetrics {
  readonly registry: Registry<OpenMetricsContentType>;
  /** Steps on this device count from now on. @returns its end. */
  readonly watch: (gpu: Gpu) => () => void;
}

/** 0.1 ms to 26 s, each twice the one before. */
const SECONDS = Array.from({ length: 19 }, (_, i) => 1e-4 * 2 ** i);

/** @param verb that runs. */
export function stepMetrics(verb: string, version: string): StepMetrics {
  const registry = new Registry<OpenMetricsContentType>();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  const registers = [registry];
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> =>
    new Gauge({ name: `moebius_${name}`, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Histogram({ name: `moebius_${name}`, help, labelNames, registers, buckets: SECONDS });
  const counter = (name: string, help: string): Counter =>
    new Counter({ name: `moebius_${name}_total`, help, registers });

  gauge('run_info', 'What runs here', ['verb', 'version']).set({ verb, version }, 1);
  const adapter = gauge('adapter_info', 'What it runs on', ['name', 'kind']);
  const tokens = counter('tokens', 'New tokens of all steps');
  const steps = counter('steps', 'Steps through the pipeline');
  const rate = gauge('tokens_per_millisecond', 'New tokens of the last step over its time, host clock');
  const step = histogram('step_seconds', 'From planning a step to having its logits, host clock');
  const stage = histogram('stage_seconds', 'GPU time of a stage in a step, where passes are timed', [
    'stage',
  ]);
  const rows = gauge('expert_rows', 'Rows that the experts of a rank received in the last traced step', [
    ...(['stage', 'rank'] as const),
  ]);
  const ratio = gauge('expert_load_ratio', 'Rows of the fullest rank over the mean, last traced step', [
    'stage',
  ]);
  const taken = new Counter({
    ...{
      name: 'moebius_expert_tokens_total',
      help: 'Tokens that took an expert, all traced steps',
      registers,
    },
    labelNames: ['layer', 'expert'] as const,
  });
  const waiting = gauge('steps_waiting', 'Steps that wait for their turn');
  const bytes = gauge('device_bytes', 'Live bytes on the device');

  const observe = ({ config, tokens: count, waiting: queue, result }: ObservedStep): void => {
    tokens.inc(count);
    steps.inc();
    rate.set(count / (result.hostNs / NS_PER_MS));
    step.observe(result.hostNs / NS_PER_S);
    waiting.set(queue);
    for (const { layer, expert, rows: own } of takenExperts(config, result))
      taken.inc({ layer, expert }, own);
    for (const [index, ns] of stageTimes(result)) stage.observe({ stage: index }, ns / NS_PER_S);
    for (const [index, received] of stageRows(result)) {
      received.forEach((own, rank) => rows.set({ stage: index, rank }, own));
      const mean = sum(received) / received.length;
      if (mean > 0) ratio.set({ stage: index }, maxOf(received) / mean);
    }
  };
  return {
    registry,
    watch: (gpu) => {
      adapter.set({ name: gpu.facts.name, kind: gpu.facts.kind }, 1);
      const end = observeSteps(gpu, (seen) => {
        observe(seen);
        bytes.set(gpu.ledger.bytes);
      });
      bytes.set(gpu.ledger.bytes);
      return end;
    },
  };
}

/** GPU time by stage, ns; none without timed passes. */
export function stageTimes({ spans }: Pick<StepResult, 'spans'>): Map<number, number> {
  const times = new Map<number, number>();
  for (const { tag, ns = 0 } of spans) times.set(tag.stage, (times.get(tag.stage) ?? 0) + ns);
  return times;
}

/** Experts that tokens of the step took, with how many did; none where they were not traced. */
function takenExperts(
  config: ObservedStep['config'],
  result: StepResult,
): { layer: number; expert: number; rows: number }[] {
  if (result.experts === undefined) return [];
  const counter = new ExpertCounter(config);
  counter.add(result);
  return counter.count_LE.flatMap((count, layer) =>
    count.flatMap((rows, expert) => (rows === 0 ? [] : [{ layer, expert, rows }])),
  );
}

/** Rows of experts by stage and rank, of all layers and micro-batches; none where they were not traced. */
export function stageRows({ expertRows = [] }: Pick<StepResult, 'expertRows'>): Map<number, number[]> {
  const all = new Map<number, number[]>();
  for (const { stage, rows } of expertRows) {
    const before = all.get(stage);
    all.set(
      stage,
      rows.map((own, rank) => own + (before?.[rank] ?? 0)),
    );
  }
  return all;
}
