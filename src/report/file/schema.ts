/**
 * The result file of `moebius bench`, version 2: one JSON object.
 *
 *   schema, version      'moebius-bench', 2. The version rises when a field changes its meaning or goes away.
 *   date, wallNs         when it ended (ISO 8601, UTC) and how long it took
 *   quick, layout, model what was run
 *   commit, versions     of the checkout (null outside of one), of this package, Node and what it computes with
 *   adapter              name, driver, kind and how it was found; limits, features, clock step, latencies (measured)
 *   clock                what kernels were timed with: 'gpu' timestamps or the 'host' clock, and its step in ns
 *   ceilings             the most that probes reached, by working set: value and all samples in its unit, or the reason why
 *                        there is none
 *   pass, checks         every check by family and of the model; nothing that failed has a time. notRun: runs of variants
 *                        that are not taken by default for which there was no time; model: null when only some kernels
 *                        were asked for; registered: variants of the user's own, with their WGSL, cases and races
 *   kernels              one entry per kernel case and variant; its timing is one of
 *                          {state: 'measured', clock, samplesNs, repeats}   one sample per round, ns per run; warmUp: before it
 *                          {state: 'too-fine', clock, grainNs, windowNs}    the clock cannot carry it
 *                          {state: 'skipped', reason}                       no time left
 *                          {state: 'failed', reason}                        its check failed, or it is above the roofline
 *                        compileNs, firstUseNs: host time before steady state; choice: who takes this variant when none is named;
 *                        registered: it is the user's own
 *                        cold: copies of its inputs that took turns; drift: its bursts beside a drift of the canary
 *                        roof: its share of the roofline of `ceilings`, and whether compute or bandwidth binds
 *   rounds               how many, the seed of their orders, and how many bursts a row needs to have a time
 *   canary               a fixed probe around every burst: all readings, ns
 *   load                 what other processes and machines took of the cores meanwhile
 *   cold, tuning         the cache that inputs were kept out of; what was tuned for this adapter
 *   forward              sharded and unsharded passes in turn: all samples, GPU time by stage and phase, host waits; ratio:
 *                        of the two, round by round
 *   rates                tokens/ms per GPU: one adapter plays all ranks in turn
 *   target               what the target asks of a GPU: modelled, on the assumptions it lists
 *   card                 layers of the card model on one rank of a GPU: what the target is judged by
 *   host                 host tasks, at most 101 samples each
 *   verdict              checks, timings, ratio and target, each judged: 'pass', 'fail' or 'open'; outcome: of all of them
 *   sources              'measured', 'modelled' or 'assumed' for the numbers of each part
 *
 * Names end in their unit. A time that was not measured has no number that could be taken for one.
 */
import * as v from 'valibot';
import { RESULT_SCHEMA, RESULT_VERSION, type BenchResult } from '../../bench/result.ts';
import { ConfigError } from '../../core/errors.ts';
import { requireGiven } from '../../core/given.ts';
import { PROBE_NAMES } from '../../measure/probes/probe.ts';
import { parseStrictJson } from '../../model/safetensors/strict-json.ts';
import type { Differences, Json, Nowhere } from './differences.ts';

const Ns = v.pipe(v.number(), v.finite(), v.minValue(0));
const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const Clock = v.picklist(['gpu', 'host']);
const Source = v.picklist(['measured', 'modelled', 'assumed']);
const Samples = v.pipe(v.array(Ns), v.minLength(1));

const Timing = v.variant('state', [
  v.object({
    ...{ state: v.literal('measured'), clock: Clock, samplesNs: Samples, repeats: Count },
    warmUp: v.exactOptional(v.object({ runs: Count, firstNs: v.exactOptional(Ns), hostNs: Ns })),
  }),
  v.object({ state: v.literal('too-fine'), clock: Clock, grainNs: Ns, windowNs: Ns }),
  v.object({ state: v.literal('skipped'), reason: v.string() }),
  v.object({ state: v.literal('failed'), reason: v.string() }),
]);

const Summary = v.object({
  ...{ count: Count, median: Ns, low: Ns, high: Ns, mad: Ns, min: Ns, max: Ns },
});

const Probed = { name: v.picklist(PROBE_NAMES), footprintBytes: v.exactOptional(Count) };
const Rate = v.pipe(v.number(), v.finite(), v.minValue(0));
const Ceiling = v.variant('state', [
  v.object({
    ...Probed,
    state: v.literal('measured'),
    form: v.exactOptional(v.string()),
    value: Rate,
    unit: v.string(),
    samples: v.pipe(v.array(Rate), v.minLength(1)),
    clock: Clock,
  }),
  v.object({ ...Probed, state: v.picklist(['absent', 'failed']), reason: v.string() }),
]);

const Adapter = v.object({
  facts: v.object({
    name: v.string(),
    vendor: v.string(),
    architecture: v.string(),
    driver: v.string(),
    kind: v.picklist(['gpu', 'software', 'embedded-software', 'unknown']),
    kernels: v.exactOptional(v.picklist(['gpu', 'software'])),
    search: v.array(v.string()),
  }),
  limits: v.record(v.string(), v.number()),
  features: v.record(v.string(), v.boolean()),
  gpuClock: v.exactOptional(v.object({ stepNs: Ns, smallestNs: Ns, readings: Count })),
  hostClockStepNs: Ns,
  readbackNs: Summary,
  dispatchFloorNs: Summary,
  indirectFloorNs: Summary,
});

const Model = v.object({
  model: v.string(),
  layout: v.string(),
  worldSize: Count,
  pass: v.boolean(),
  greedyTokens: Count,
  error: v.exactOptional(v.string()),
  checks: v.array(
    v.object({
      what: v.picklist(['logits', 'experts', 'text', 'cross entropy']),
      who: v.picklist(['sharded', 'unsharded']),
      against: v.picklist(['known', 'unsharded']),
      pass: v.boolean(),
      found: v.string(),
      limit: v.string(),
    }),
  ),
});

const Checks = v.object({
  kernels: v.array(
    v.object({
      family: v.string(),
      cases: Count,
      runs: Count,
      failed: Count,
      /** Null stands for infinity, which JSON cannot write. */
      worstShare: v.nullable(v.number()),
      failures: v.array(v.object({ name: v.string(), variant: v.string(), message: v.string() })),
    }),
  ),
  notRun: Count,
  model: v.nullable(Model),
  registered: v.exactOptional(
    v.array(
      v.object({
        ...{ family: v.string(), variant: v.string(), shader: v.string(), pass: v.boolean() },
        ...{ cases: Count, refused: Count, notRun: Count },
        races: v.array(
          v.object({
            subject: v.string(),
            state: v.picklist(['none', 'races', 'unknown']),
            message: v.string(),
          }),
        ),
      }),
    ),
  ),
});

const Phase = v.object({ phase: v.string(), ns: Ns, passes: Count, share: v.number() });
const ForwardTiming = v.object({
  layout: v.string(),
  worldSize: Count,
  samplesNs: Samples,
  dispatches: Count,
  microBatches: Count,
  hostSyncsPerLayer: v.number(),
  profiles: v.array(
    v.object({
      totalNs: Ns,
      voidPasses: Count,
      stages: v.array(v.object({ stage: v.string(), ns: Ns, passes: Count, phases: v.array(Phase) })),
      kernels: v.array(Phase),
    }),
  ),
  liveBytes: Count,
  predictedBytes: Count,
});

const Card = v.variant('state', [
  v.object({
    ...{ state: v.literal('measured'), clock: v.literal('host'), tokens: Count, layers: Count },
    ...{ modelLayers: Count, samplesNs: Samples, tokensPerMs: v.pipe(v.array(Rate), v.minLength(1)) },
  }),
  v.object({ state: v.literal('skipped'), reason: v.string() }),
]);

export const BenchResultFile = v.object({
  schema: v.literal(RESULT_SCHEMA),
  version: v.literal(RESULT_VERSION),
  date: v.pipe(v.string(), v.isoTimestamp()),
  quick: v.boolean(),
  layout: v.string(),
  model: v.string(),
  commit: v.nullable(v.string()),
  versions: v.record(v.string(), v.string()),
  adapter: Adapter,
  clock: v.object({ clock: Clock, grainNs: Ns, note: v.string() }),
  ceilings: v.array(Ceiling),
  pass: v.boolean(),
  checks: Checks,
  kernels: v.array(
    v.object({
      family: v.string(),
      name: v.string(),
      variant: v.string(),
      chosen: v.boolean(),
      registered: v.exactOptional(v.literal(true)),
      choice: v.exactOptional(v.picklist(['default', 'tuned'])),
      timing: Timing,
      compileNs: v.exactOptional(Ns),
      firstUseNs: v.exactOptional(Ns),
      cold: v.exactOptional(v.object({ copies: Count, bytes: Ns, enough: v.boolean() })),
      drift: v.exactOptional(v.object({ bursts: Count, worst: v.nullable(v.number()), marked: v.boolean() })),
      flops: v.number(),
      bytes: v.number(),
      flopsPerSecond: v.exactOptional(v.number()),
      bytesPerSecond: v.exactOptional(v.number()),
      /** Share of the roofline of `ceilings`. */
      roof: v.exactOptional(
        v.object({ share: v.number(), binds: v.picklist(['compute', 'bandwidth']), attainableNs: Ns }),
      ),
    }),
  ),
  rounds: v.object({ seed: Count, count: Count, least: Count }),
  canary: v.nullable(
    v.object({
      what: v.string(),
      driftLimit: v.number(),
      spreadLimit: v.number(),
      samplesNs: v.array(v.nullable(Ns)),
      spread: v.nullable(v.number()),
    }),
  ),
  load: v.nullable(v.object({ cores: Count, othersShare: v.number(), stealShare: v.nullable(v.number()) })),
  cold: v.nullable(v.object({ bytes: Count, source: v.picklist(['measured', 'assumed']), note: v.string() })),
  tuning: v.nullable(
    v.object({ state: v.string(), note: v.string(), path: v.exactOptional(v.string()), entries: Count }),
  ),
  forward: v.nullable(
    v.object({
      sequences: Count,
      tokensPerSequence: Count,
      tokens: Count,
      logitsError: v.nullable(v.number()),
      pass: v.boolean(),
      sharded: v.exactOptional(ForwardTiming),
      unsharded: v.exactOptional(ForwardTiming),
      ratio: v.exactOptional(Summary),
    }),
  ),
  rates: v.nullable(
    v.object({
      clock: v.literal('host'),
      tokensPerMsPerGpu: v.number(),
      unshardedTokensPerMs: v.number(),
      usefulFlopsPerSecond: v.number(),
    }),
  ),
  target: v.object({
    preset: v.string(),
    targetTokensPerMsPerGpu: v.number(),
    targetTokensPerMs: v.number(),
    worldSize: Count,
    needs: v.object({
      flopsPerSecond: v.number(),
      weightBytesPerSecond: v.number(),
      activationBytesPerSecond: v.number(),
      kvBytesPerSecond: v.number(),
      bytesPerSecond: v.number(),
      intensity: v.number(),
      tokensPerMsPerTpGroup: v.number(),
      expertRowsPerMs: v.number(),
    }),
    assumptions: v.object({
      tokensPerMicroBatch: v.number(),
      kvLength: v.number(),
      tokensPerKvRead: v.number(),
      bytesPerWeight: v.number(),
      bytesPerActivation: v.number(),
    }),
  }),
  card: v.nullable(Card),
  host: v.array(v.object({ task: v.string(), timing: Timing })),
  verdict: v.object({
    outcome: v.picklist(['pass', 'failed', 'incomplete']),
    judgements: v.array(
      v.object({
        what: v.picklist(['checks', 'timings', 'ratio', 'target']),
        state: v.picklist(['pass', 'fail', 'open']),
        text: v.string(),
      }),
    ),
  }),
  wallNs: Ns,
  sources: v.object({
    ...{ ceilings: Source, kernels: Source, forward: Source, rates: Source },
    ...{ target: Source, card: Source, host: Source },
  }),
});

/** What `JSON.parse` gives for a result file. */
export type StoredBenchResult = v.InferOutput<typeof BenchResultFile>;

/** A field that only the schema or only the result's type has, or has otherwise, does not compile. */
export type SchemaIsTheType = Nowhere<Differences<Json<BenchResult>, Json<StoredBenchResult>>>;

/** The result as it is stored: whole, with two blanks of indent. */
export function formatResult(result: BenchResult): string {
  return `${JSON.stringify(result, null, 2)}\n`;
}

/**
 * Parses the bytes of a result file of `moebius bench` and checks every field. `label` names the file in messages.
 * @throws ConfigError when the bytes are no result of this version; the message names the first wrong field.
 */
export function readResult(bytes: Uint8Array, label: string): StoredBenchResult {
  requireGiven('The file', bytes, 'list');
  requireGiven('Its name', label, 'string');
  const parsed = v.safeParse(BenchResultFile, parseStrictJson(bytes, label));
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new ConfigError(
    `${label} is no ${RESULT_SCHEMA} result of version ${RESULT_VERSION}: ` +
      `${v.getDotPath(issue) ?? 'the file'}: ${issue.message}.`,
  );
}
