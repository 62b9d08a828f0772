/** A result file as a flat table: a row per number that was measured, or that has a reason why it was not. */
import { requireFields, requireGiven } from '../../core/given.ts';
import { summarise } from '../../measure/statistics.ts';
import type { StoredBenchResult } from './schema.ts';

type Cell = string | number | undefined;

/** In the order of the table's columns. */
export const COLUMNS = [
  ...['file', 'date', 'commit', 'adapter', 'driver', 'kind', 'part', 'family', 'name', 'variant', 'choice'],
  ...['state', 'source', 'clock', 'unit', 'median', 'low', 'high', 'min', 'max', 'samples'],
  ...['flop', 'bytes', 'roof_share', 'binds', 'reason'],
] as const;

/** A number that was measured, or the reason why there is none; by the names of `COLUMNS`. */
export type TableRow = Readonly<Partial<Record<(typeof COLUMNS)[number], Cell>>>;

type Timing = StoredBenchResult['kernels'][number]['timing'];

/**
 * A row for each kernel, ceiling, form of the forward pass and host task, times in ns. @param file the name of the result's file.
 * @throws ConfigError for what is no result.
 */
export function tableOf(result: StoredBenchResult, file: string): TableRow[] {
  requireFields('The result', result, { kernels: 'list', ceilings: 'list', host: 'list', adapter: 'record' });
  requireGiven('The name of its file', file, 'string');
  const { adapter, sources, forward } = result;
  const { name: adapterName, driver, kind } = adapter.facts;
  const run = { file, date: result.date, commit: result.commit ?? '', adapter: adapterName, driver, kind };
  const kernels = result.kernels.map(({ family, name, variant, choice, timing, flops, bytes, roof }) => ({
    ...run,
    ...{ part: 'kernel', source: sources.kernels, family, name, variant, choice, flop: flops, bytes },
    ...timed(timing),
    ...(roof && { roof_share: roof.share, binds: roof.binds }),
  }));
  const ceilings = result.ceilings.map((ceiling) => ({
    ...run,
    ...{ part: 'ceiling', source: sources.ceilings, name: ceiling.name, bytes: ceiling.footprintBytes },
    ...(ceiling.state === 'measured'
      ? { state: ceiling.state, clock: ceiling.clock, ...summary(ceiling.samples, ceiling.unit) }
      : { state: ceiling.state, reason: ceiling.reason }),
  }));
  const passes = (['sharded', 'unsharded'] as const).flatMap((form) => {
    const timing = forward?.[form];
    if (timing === undefined) return [];
    const { samplesNs, layout } = timing;
    const what = { part: 'forward', source: sources.forward, name: form, variant: layout };
    return [{ ...run, ...what, state: 'measured', clock: 'host', ...summary(samplesNs, 'ns') }];
  });
  const host = result.host.map(({ task, timing }) => ({
    ...run,
    ...{ part: 'host', source: sources.host, name: task, ...timed(timing) },
  }));
  return [...kernels, ...ceilings, ...passes, ...host];
}

function timed(timing: Timing): TableRow {
  const { state } = timing;
  if (timing.state === 'measured') return { state, clock: timing.clock, ...summary(timing.samplesNs, 'ns') };
  if (timing.state === 'too-fine')
    return { state, clock: timing.clock, reason: `the clock steps by ${timing.grainNs} ns` };
  return { state, reason: timing.reason };
}

function summary(samples: readonly number[], unit: string): TableRow {
  const { median, low, high, min, max, count } = summarise(samples);
  return { unit, median, low, high, min, max, samples: count };
}
