/** What a comparison takes from a result file. */
import type { Run, RunRow } from '../../compare/units.ts';
import { requireFields, requireGiven } from '../../core/given.ts';
import { median } from '../../measure/statistics.ts';
import type { StoredBenchResult } from './schema.ts';

/**
 * What `compareRuns` takes of a result: a row per kernel and variant, and one for each form of the forward pass.
 * @param label for messages. @throws ConfigError for what is no result.
 */
export function comparedRun(result: StoredBenchResult, label: string): Run {
  requireFields('The result', result, { kernels: 'list', adapter: 'record', clock: 'record' });
  requireGiven('Its name', label, 'string');
  const rows = new Map<string, RunRow>();
  for (const { family, name, variant, timing, flops, bytes, cold } of result.kernels) {
    rows.set(`${family}: ${name} (${variant})`, {
      shape: `${flops} FLOP, ${bytes} bytes${cold === undefined ? '' : `, ${cold.copies} copies`}`,
      samplesNs: timing.state === 'measured' ? usable(timing.samplesNs) : undefined,
    });
  }
  const { forward } = result;
  for (const form of ['sharded', 'unsharded'] as const) {
    const found = forward?.[form];
    if (forward === null || found === undefined) continue;
    rows.set(`forward pass, ${form}`, {
      shape: `${forward.tokens} tokens of ${forward.sequences} sequences, ${found.microBatches} micro-batches`,
      samplesNs: usable(found.samplesNs),
    });
  }
  const { name, driver } = result.adapter.facts;
  const scope = `${result.quick ? 'bench --quick' : 'bench'} of ${result.model} on ${result.layout}`;
  return { label, adapter: name, driver, clock: result.clock.clock, scope, rows };
}

/** A time of 0 has no ratio. */
function usable(samples: readonly number[]): readonly number[] | undefined {
  return median(samples) > 0 && samples.every((ns) => ns > 0) ? samples : undefined;
}
