/**
 * The result file of `moebius bench`, version 2: one JSON object.
 *
 *   schema, version      'moebius-bench', 2. The version rises when a field changes its meaning or goes away; a reader
 *                        refuses fields that it does not know, and reads version 1 as well (`version-1.ts`)
 *   runId                of this run and no other
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
 *                          {state: 'measured', clock, samplesNs, repeats}   one sample per round, ns per run; warmUp: before it;
 *                                                                           rounds, windowsNs: of each sample its round and the
 *                                                                           windows whose median it is
 *                          {state: 'too-fine', clock, grainNs, windowNs}    the clock cannot carry it
 *                          {state: 'skipped', reason}                       no time left
 *                          {state: 'failed', reason}                        its check failed, or it is above the roofline
 *                        compileNs, firstUseNs: host time before steady state; choice: who takes this variant when none is named;
 *                        registered: it is the user's own; incomplete: measured in fewer rounds than were to come
 *                        cold: copies of its inputs that took turns; drift: its bursts beside a drift of the canary
 *                        roof: its share of the roofline of `ceilings`, and whether compute or bandwidth binds
 *   rounds               how many, the seed of their orders, and how many bursts a row needs to have a time; order: of the
 *                        rows, as indices of `kernels`, by round; times: of each round, ns since the run began
 *   canary               a fixed probe around every burst: all readings, ns
 *   load                 what other processes and machines took of the cores meanwhile; average: processes that ran or
 *                        waited over 1, 5 and 15 minutes, before and after
 *   cold, tuning         the cache that inputs were kept out of; what was tuned for this adapter
 *   forward              sharded and unsharded passes in turn: all samples, GPU time by stage and phase, host waits; ratio:
 *                        of the two, round by round; cluster: what a cluster of the layout would see of it: its pipeline,
 *                        rows by layer, sending rank and expert, and what each rank would hold (modelled)
 *   growth               how time grows with size: series of sizes with their samples, and the exponent that was fitted
 *   rates                tokens/ms per GPU: one adapter plays all ranks in turn
 *   target               what the target asks of a GPU: modelled, on the assumptions it lists
 *   card                 layers of the card model on one rank of a GPU: what the target is judged by
 *   host                 host tasks, at most 101 samples each
 *   verdict              checks, timings, ratio and target, each judged: 'pass', 'fail' or 'open'; outcome: of all of them
 *   interrupted          during which step the run was cut short, and why; absent when it came to its end
 *   sources              'measured', 'modelled' or 'assumed' for the numbers of each part
 *
 * Names end in their unit. A time that was not measured has no number that could be taken for one.
 */
import * as v from 'valibot';
import { RESULT_SCHEMA, RESULT_VERSION, type BenchResult } from '../../bench/result.ts';
import { PROBE_NAMES } from '../../measure/probes/probe.ts';
import type { Differences, Json, Nowhere } from './differences.ts';
import { ForwardRouting, ForwardTiming } from './schema-forward.ts';
import { Clock, Count, fields, Ns, Samples, Source, Summary, Timing } from './schema-parts.ts';

const Probed = { name: v.picklist(PROBE_NAMES), footprintBytes: v.exactOptional(Count) };
const Rate = v.pipe(v.number(), v.finite(), v.minValue(0));
const Ceiling = v.variant('state', [
  fields({
    ...Probed,
    state: v.literal('measured'),
    form: v.exactOptional(v.string()),
    value: Rate,
    unit: v.string(),
    samples: v.pipe(v.array(Rate), v.minLength(1)),
    clock: Clock,
  }),
  fields({ ...Probed, state: v.picklist(['absent', 'failed']), reason: v.string() }),
]);

const Adapter = fields({
  facts: fields({
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
  matrixUnits: v.exactOptional(
    v.array(fields({ component: v.string(), result: v.string(), m: Count, n: Count, k: Count })),
  ),
  gpuClock: v.exactOptional(fields({ stepNs: Ns, smallestNs: Ns, readings: Count })),
  hostClockStepNs: Ns,
  readbackNs: Summary,
  dispatchFloorNs: Summary,
  indirectFloorNs: Summary,
});

const Model = fields({
  model: v.string(),
  layout: v.string(),
  worldSize: Count,
  pass: v.boolean(),
  greedyTokens: Count,
  error: v.exactOptional(v.string()),
  checks: v.array(
    fields({
      what: v.picklist(['logits', 'experts', 'text', 'cross entropy']),
      who: v.picklist(['sharded', 'unsharded']),
      against: v.picklist(['known', 'unsharded']),
      pass: v.boolean(),
      found: v.string(),
      limit: v.string(),
    }),
  ),
});

const Checks = fields({
  kernels: v.array(
    fields({
      family: v.string(),
      cases: Count,
      runs: Count,
      failed: Count,
      /** Null stands for infinity, which JSON cannot write. */
      worstShare: v.nullable(v.number()),
      failures: v.array(fields({ name: v.string(), variant: v.string(), message: v.string() })),
    }),
  ),
  notRun: Count,
  model: v.nullable(Model),
  registered: v.exactOptional(
    v.array(
      fields({
        ...{ family: v.string(), variant: v.string(), shader: v.string(), pass: v.boolean() },
        ...{ cases: Count, refused: Count, notRun: Count },
        races: v.array(
          fields({
            subject: v.string(),
            state: v.picklist(['none', 'races', 'unknown']),
            message: v.string(),
          }),
        ),
      }),
    ),
  ),
});

const Growth = fields({
  ...{
    name: v.string(),
    variable: v.string(),
    what: v.string(),
    expected: v.number(),
    tolerance: v.number(),
  },
  ...{ rule: v.string(), reason: v.string() },
  verdict: v.picklist(['as expected', 'unexpected', 'unfit', 'failed']),
  points: v.array(fields({ size: Count, timing: Timing, leastNs: v.exactOptional(Ns), fitted: v.boolean() })),
  fit: v.exactOptional(fields({ exponent: v.number(), rSquared: v.nullable(v.number()) })),
});

const Card = v.variant('state', [
  fields({
    ...{ state: v.literal('measured'), clock: v.literal('host'), tokens: Count, layers: Count },
    ...{ modelLayers: Count, samplesNs: Samples, tokensPerMs: v.pipe(v.array(Rate), v.minLength(1)) },
  }),
  fields({ state: v.literal('skipped'), reason: v.string() }),
]);

export const BenchResultFile = fields({
  schema: v.literal(RESULT_SCHEMA),
  version: v.literal(RESULT_VERSION),
  runId: v.exactOptional(v.pipe(v.string(), v.uuid())),
  date: v.pipe(v.string(), v.isoTimestamp()),
  quick: v.boolean(),
  layout: v.string(),
  model: v.string(),
  commit: v.nullable(v.string()),
  versions: v.record(v.string(), v.string()),
  adapter: Adapter,
  clock: fields({ clock: Clock, grainNs: Ns, note: v.string() }),
  ceilings: v.array(Ceiling),
  pass: v.boolean(),
  checks: Checks,
  kernels: v.array(
    fields({
      family: v.string(),
      name: v.string(),
      variant: v.string(),
      chosen: v.boolean(),
      registered: v.exactOptional(v.literal(true)),
      choice: v.exactOptional(v.picklist(['default', 'tuned'])),
      timing: Timing,
      incomplete: v.exactOptional(v.literal(true)),
      compileNs: v.exactOptional(Ns),
      firstUseNs: v.exactOptional(Ns),
      cold: v.exactOptional(fields({ copies: Count, bytes: Ns, enough: v.boolean() })),
      drift: v.exactOptional(fields({ bursts: Count, worst: v.nullable(v.number()), marked: v.boolean() })),
      flops: v.number(),
      bytes: v.number(),
      flopsPerSecond: v.exactOptional(v.number()),
      bytesPerSecond: v.exactOptional(v.number()),
      /** Share of the roofline of `ceilings`. */
      roof: v.exactOptional(
        fields({ share: v.number(), binds: v.picklist(['compute', 'bandwidth']), attainableNs: Ns }),
      ),
    }),
  ),
  rounds: v.nullable(
    fields({
      ...{ seed: Count, count: Count, least: Count },
      order: v.exactOptional(v.array(v.array(Count))),
      times: v.exactOptional(v.array(fields({ beginNs: Ns, endNs: Ns }))),
    }),
  ),
  canary: v.nullable(
    fields({
      what: v.string(),
      driftLimit: v.number(),
      spreadLimit: v.number(),
      samplesNs: v.array(v.nullable(Ns)),
      spread: v.nullable(v.number()),
    }),
  ),
  load: v.nullable(
    fields({
      ...{ cores: Count, othersShare: v.number(), stealShare: v.nullable(v.number()) },
      average: v.exactOptional(fields({ before: v.array(Ns), after: v.array(Ns) })),
    }),
  ),
  cold: v.nullable(fields({ bytes: Count, source: v.picklist(['measured', 'assumed']), note: v.string() })),
  tuning: v.nullable(
    fields({ state: v.string(), note: v.string(), path: v.exactOptional(v.string()), entries: Count }),
  ),
  forward: v.nullable(
    fields({
      sequences: Count,
      tokensPerSequence: Count,
      tokens: Count,
      logitsError: v.nullable(v.number()),
      pass: v.boolean(),
      sharded: v.exactOptional(ForwardTiming),
      unsharded: v.exactOptional(ForwardTiming),
      ratio: v.exactOptional(Summary),
      routing: v.exactOptional(ForwardRouting),
    }),
  ),
  growth: v.exactOptional(v.array(Growth)),
  rates: v.nullable(
    fields({
      clock: v.literal('host'),
      tokensPerMsPerGpu: v.number(),
      unshardedTokensPerMs: v.number(),
      usefulFlopsPerSecond: v.number(),
    }),
  ),
  target: fields({
    preset: v.string(),
    targetTokensPerMsPerGpu: v.number(),
    targetTokensPerMs: v.number(),
    worldSize: Count,
    needs: fields({
      flopsPerSecond: v.number(),
      weightBytesPerSecond: v.number(),
      activationBytesPerSecond: v.number(),
      kvBytesPerSecond: v.number(),
      bytesPerSecond: v.number(),
      intensity: v.number(),
      tokensPerMsPerTpGroup: v.number(),
      expertRowsPerMs: v.number(),
    }),
    assumptions: fields({
      tokensPerMicroBatch: v.number(),
      kvLength: v.number(),
      tokensPerKvRead: v.number(),
      bytesPerWeight: v.number(),
      bytesPerActivation: v.number(),
    }),
  }),
  card: v.nullable(Card),
  host: v.array(fields({ task: v.string(), timing: Timing })),
  verdict: fields({
    outcome: v.picklist(['pass', 'failed', 'incomplete']),
    judgements: v.array(
      fields({
        what: v.picklist(['checks', 'timings', 'ratio', 'target']),
        state: v.picklist(['pass', 'fail', 'open']),
        text: v.string(),
      }),
    ),
  }),
  interrupted: v.exactOptional(v.object({ during: v.string(), reason: v.string() })),
  wallNs: Ns,
  sources: fields({
    ...{ ceilings: Source, kernels: Source, forward: Source, rates: Source },
    ...{ target: Source, card: Source, host: Source },
  }),
});

/** What `JSON.parse` gives for a result file. */
export type StoredBenchResult = v.InferOutput<typeof BenchResultFile>;

/** A field that only the schema or only the result's type has, or has otherwise, does not compile. */
export type SchemaIsTheType = Nowhere<Differences<Json<BenchResult>, Json<StoredBenchResult>>>;
