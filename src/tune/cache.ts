/**
 * The tuning cache, version 1: one JSON object for one adapter.
 *
 *   schema, version   'moebius-tuning', 1
 *   adapter           name and driver: times of another adapter or driver say nothing here; and `kernels`, the kind of
 *                     hardware that kernels were chosen for, where another than the adapter's own was asked for: their
 *                     defaults and what is compiled into them differ
 *   date, project     when it was last written (ISO 8601, UTC), and by which version of this package
 *   clock             what was timed with
 *   peakFlops         f32 FLOP/s that a probe reached, which a dispatch's length follows from; absent where none was timed
 *   points            one per shape: what was measured, all samples, and what to take. Shapes of experts carry the
 *                     number of local experts among their settings
 *
 * A file that is anything else is ignored with one line that says why. The next `moebius tune` writes a damaged cache
 * anew, and one of another driver, whose times mean nothing any more; it refuses a file that is no cache, or another
 * adapter's, of kernels for another kind, or of another version: that would be somebody's loss.
 */
import * as v from 'valibot';
import type { BenchClock } from '../measure/stopwatch.ts';
import { messageOf } from '../core/errors.ts';
import { parseStrictJson } from '../model/safetensors/strict-json.ts';
import type { AdapterFacts, KernelKind } from '../platform/platform.ts';
import type { TuningPoint } from './point.ts';
import { SubjectFile } from '../validate/draw/subject.ts';

export const TUNING_SCHEMA = 'moebius-tuning';
export const TUNING_VERSION = 1;

export interface TuningCache {
  readonly schema: typeof TUNING_SCHEMA;
  readonly version: typeof TUNING_VERSION;
  readonly adapter: {
    readonly name: string;
    readonly driver: string;
    readonly kernels?: KernelKind | undefined;
  };
  readonly date: string;
  readonly project: string;
  readonly clock: BenchClock;
  readonly peakFlops?: number | undefined;
  readonly points: readonly TuningPoint[];
}

const Finite = v.pipe(v.number(), v.finite(), v.minValue(0));
const Positive = v.pipe(v.number(), v.finite(), v.gtValue(0));
const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

/** What families were called before they had the name of their op. */
const OLD_NAMES: Readonly<Record<string, string>> = { gemm: 'matmul', experts: 'moe' };

const Point = v.pipe(
  v.object({
    family: v.pipe(
      v.string(),
      v.transform((name) => OLD_NAMES[name] ?? name),
    ),
    kind: v.string(),
    sizes: v.record(v.string(), Positive),
    subject: SubjectFile,
    index: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
    date: v.pipe(v.string(), v.isoTimestamp()),
    project: v.string(),
    default: v.string(),
    choice: v.nullable(v.string()),
    reason: v.string(),
    spread: Finite,
    againNs: v.array(Positive),
    grainNs: Finite,
    evidence: v.array(
      v.object({
        variant: v.string(),
        code: v.string(),
        samplesNs: v.pipe(v.array(Positive), v.minLength(1)),
        repeats: Count,
      }),
    ),
    left: v.array(v.object({ variant: v.string(), reason: v.string() })),
  }),
  v.check(
    ({ choice, evidence }) => choice === null || evidence.some(({ variant }) => variant === choice),
    'the choice has no evidence',
  ),
);

const CacheFile = v.object({
  schema: v.literal(TUNING_SCHEMA),
  version: v.literal(TUNING_VERSION),
  adapter: v.object({
    name: v.string(),
    driver: v.string(),
    kernels: v.optional(v.picklist(['gpu', 'software'])),
  }),
  date: v.pipe(v.string(), v.isoTimestamp()),
  project: v.string(),
  clock: v.object({ clock: v.picklist(['gpu', 'host']), grainNs: Finite, note: v.string() }),
  peakFlops: v.optional(Positive),
  points: v.array(Point),
});

export type ReadCache =
  | { readonly cache: TuningCache; readonly warning?: undefined; readonly precious?: undefined }
  | {
      readonly cache?: undefined;
      readonly warning: string;
      /** Set when the file must not be overwritten: what it is, as 'it is ...'. */
      readonly precious?: string;
    };

/** Never throws: what cannot be used is a warning. @param facts of the adapter that is to be advised. */
export function readCache(bytes: Uint8Array, label: string, facts: AdapterFacts): ReadCache {
  const remedy = 'Run "moebius tune" to rebuild it.';
  const line = (why: string): string => why.replace(/\s+/g, ' ').replace(/\.$/, '');
  const ignored = (why: string): ReadCache => ({
    warning: `tuning cache ${label} is ignored: ${line(why)}. ${remedy}`,
  });
  const precious = (why: string): ReadCache => ({
    warning: `tuning cache ${label} is ignored: ${line(why)}. Remove it, or name another file.`,
    precious: line(why),
  });
  let value: unknown;
  try {
    value = parseStrictJson(bytes, label);
  } catch (error) {
    if (!beginsAsCache(bytes)) return precious('it is no tuning cache');
    return ignored(`it is no whole JSON file (${messageOf(error)})`);
  }
  const { schema, version } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (schema !== TUNING_SCHEMA) return precious('it is no tuning cache');
  if (version !== TUNING_VERSION && Number.isInteger(version)) {
    return precious(`it has version ${String(version)}, and this package knows ${TUNING_VERSION}`);
  }
  const parsed = v.safeParse(CacheFile, value);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    return ignored(`${v.getDotPath(issue) ?? 'the file'}: ${issue.message}`);
  }
  const { adapter } = parsed.output;
  if (adapter.name !== facts.name)
    return precious(`it is of the adapter ${adapter.name}, this one is ${facts.name}`);
  if (adapter.kernels !== facts.kernels) {
    return precious(`it is of kernels ${kindOf(adapter)}, and these are ${kindOf(facts)}`);
  }
  if (adapter.driver !== facts.driver) {
    return ignored(`it is of the driver ${adapter.driver}, this one is ${facts.driver}`);
  }
  return { cache: parsed.output };
}

function kindOf({ kernels }: Pick<AdapterFacts, 'kernels'>): string {
  return kernels === undefined ? "for the adapter's own kind" : `as for kind ${kernels}`;
}

/** Whether what is left of a file could be a cache that was cut: nothing, blanks, or how every cache begins. */
function beginsAsCache(bytes: Uint8Array): boolean {
  const text = new TextDecoder().decode(bytes.subarray(0, 200)).replace(/\s+/g, '');
  const start = `{"schema":"${TUNING_SCHEMA}"`;
  // A file system that lost power leaves zeros.
  return /^\0*$/.test(text) || text.startsWith(start) || start.startsWith(text);
}

export function formatCache(cache: TuningCache): string {
  return `${JSON.stringify(cache, null, 1)}\n`;
}
