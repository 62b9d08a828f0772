/** What the schema of result files is built from. */
import * as v from 'valibot';
import { didYouMean } from '../../core/text/near-names.ts';

/** An object with these fields and no other: what is unknown is refused, and told with the field that it may stand for. */
export function fields<const T extends v.ObjectEntries>(entries: T) {
  return v.strictObject(entries, ({ expected, received, input, path }) => {
    if (expected === 'never') {
      const name = String(path?.at(-1)?.key);
      return `there is no such field${didYouMean(name, Object.keys(entries))}`;
    }
    if (path !== undefined && input === undefined) return 'the field is missing';
    return `Invalid type: Expected ${expected} but received ${received}`;
  });
}

export const Ns = v.pipe(v.number(), v.finite(), v.minValue(0));
export const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
export const Clock = v.picklist(['gpu', 'host']);
export const Source = v.picklist(['measured', 'modelled', 'assumed']);
export const Samples = v.pipe(v.array(Ns), v.minLength(1));

export const Timing = v.variant('state', [
  fields({
    ...{ state: v.literal('measured'), clock: Clock, samplesNs: Samples, repeats: Count },
    rounds: v.exactOptional(v.array(Count)),
    windowsNs: v.exactOptional(v.array(Samples)),
    warmUp: v.exactOptional(fields({ runs: Count, firstNs: v.exactOptional(Ns), hostNs: Ns })),
  }),
  fields({ state: v.literal('too-fine'), clock: Clock, grainNs: Ns, windowNs: Ns }),
  fields({ state: v.literal('skipped'), reason: v.string() }),
  fields({ state: v.literal('failed'), reason: v.string() }),
]);

export const Summary = fields({
  ...{ count: Count, median: Ns, low: Ns, high: Ns, mad: Ns, min: Ns, max: Ns },
});
