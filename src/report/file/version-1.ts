/**
 * Version 1 of the result file (0.1.0 and 0.2.0) as version 2. It had no rounds, no load and no layers of the card model;
 * its canary and its drift were measured another way and are left out; its verdict was about the target alone.
 */
import { ratioOf } from '../../bench/model/sharded.ts';
import { verdictOf, type Grounds } from '../../bench/verdict.ts';
import type { StoredBenchResult } from './schema.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What is no object is left as it is: the schema says what is wrong with it. */
function changed(value: unknown, change: (fields: Fields) => Fields): unknown {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? change(value as Fields)
    : value;
}

function without(fields: Fields, ...names: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
}

/** @param value JSON of version 1, of which nothing is known yet. */
export function asVersion2(value: unknown): unknown {
  return changed(value, (result) => {
    const { checks, kernels, forward, target, sources } = result;
    const parts: Fields = {
      checks: changed(checks, (own) => ({ notRun: 0, ...own })),
      kernels: Array.isArray(kernels)
        ? kernels.map((row: unknown) => changed(row, (kernel) => without(kernel, 'drift')))
        : kernels,
      // The ratio of medians then: now it is of rounds, which `judged` takes from the samples.
      forward: changed(forward, (own) => without(own, 'ratio')),
      target: changed(target, (own) => without(own, 'atMeasuredFlops')),
      sources: changed(sources, (own) => ({ card: 'measured', ...own })),
    };
    return {
      ...{ ceilings: [], tuning: null, cold: null },
      ...result,
      ...Object.fromEntries(Object.entries(parts).filter(([name]) => name in result)),
      ...{ version: 2, rounds: null, canary: null, load: null, card: null },
      verdict: { outcome: 'pass', judgements: [] },
    };
  });
}

/** With the judgements of version 2 in place of its own. */
export function judged(result: StoredBenchResult): StoredBenchResult {
  const { forward } = result;
  const { sharded, unsharded } = forward ?? {};
  const isPaired = sharded !== undefined && sharded.samplesNs.length === unsharded?.samplesNs.length;
  const whole = {
    ...result,
    forward:
      forward !== null && isPaired
        ? { ...forward, ratio: ratioOf(sharded.samplesNs, unsharded.samplesNs) }
        : forward,
  };
  const { outcome, judgements } = verdictOf(whole as Grounds);
  return {
    ...whole,
    pass: outcome === 'pass',
    verdict: {
      outcome,
      judgements: judgements.map((judgement) =>
        judgement.what === 'target' && result.adapter.facts.kind === 'gpu'
          ? { ...judgement, text: 'not judged: version 1 of the file has no layers of the card model' }
          : judgement,
      ),
    },
  };
}
