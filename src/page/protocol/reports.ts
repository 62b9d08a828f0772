/** What the worker tells the page. Checked where it arrives. Times in ns. */
import * as v from 'valibot';
import { FoundLayouts } from './search-report.ts';

const Text = v.string();
const Count = v.pipe(v.number(), v.integer(), v.minValue(0));
const Ns = v.pipe(v.number(), v.minValue(0));

const Facts = v.object({
  ...{ name: Text, vendor: Text, architecture: Text, driver: Text },
  kind: v.picklist(['gpu', 'software', 'embedded-software', 'unknown']),
  search: v.array(Text),
});

export const Clock = v.object({ clock: v.picklist(['gpu', 'host']), grainNs: Ns, note: Text });

/** A family of kernels, its variants, and the rows that a bench times. */
const Family = v.object({
  name: Text,
  variants: v.array(v.object({ name: Text, idea: Text })),
  rows: v.array(v.object({ name: Text, quick: v.boolean() })),
  cases: Count,
});

/** What is known first: who it is, and whether a first product of matrices is right. */
export const Greeting = v.object({
  facts: Facts,
  hello: v.object({ pass: v.boolean(), message: Text }),
});
export type Greeting = v.InferOutput<typeof Greeting>;

/** What is known of the adapter once a first product of matrices was checked on it. */
export const Opened = v.object({
  ...Greeting.entries,
  ...{ features: v.record(Text, v.boolean()), limits: v.record(Text, v.number()) },
  clock: Clock,
  /** The step of the GPU's own clock; absent without timestamps. */
  gpuStepNs: v.optional(Ns),
  families: v.array(Family),
});
export type Opened = v.InferOutput<typeof Opened>;

/** A kernel's run against float64. */
export const CaseRun = v.object({
  ...{ family: Text, name: Text, variant: Text, pass: v.boolean(), worstShare: v.number(), message: Text },
});
export type CaseRun = v.InferOutput<typeof CaseRun>;

/** A row that is being timed. */
export const LiveRow = v.object({
  ...{ family: Text, name: Text, variant: Text, chosen: v.boolean(), rounds: Count },
  state: v.picklist(['waiting', 'running', 'measured', 'too-fine', 'skipped', 'failed']),
  ...{ ns: v.optional(Ns), reason: v.optional(Text) },
});
export type LiveRow = v.InferOutput<typeof LiveRow>;

export const Tile = v.object({
  ...{ what: Text, value: Text, beside: Text },
  source: v.optional(v.picklist(['measured', 'modelled', 'assumed'])),
});
export type Tile = v.InferOutput<typeof Tile>;

/** A step of a continuation: its text, its time, that of each stage, and how many tokens each expert had. */
export const Token = v.object({
  ...{ text: Text, hostNs: Ns, rows: Count },
  stages: v.array(v.object({ stage: Count, ns: Ns })),
  /** [layer][expert] */
  load: v.array(v.array(Count)),
});
export type Token = v.InferOutput<typeof Token>;

const ModelReport = v.object({
  ...{ model: Text, layout: Text, worldSize: Count, pass: v.boolean(), error: v.optional(Text) },
  checks: v.array(
    v.object({ what: Text, who: Text, against: Text, found: Text, limit: Text, pass: v.boolean() }),
  ),
});

const Registered = v.object({
  ...{ family: Text, variant: Text, pass: v.boolean(), cases: Count, refused: Count, notRun: Count },
  races: v.array(v.object({ subject: Text, state: Text, message: Text })),
});

const Fault = v.object({ name: Text, message: Text });
export type Fault = v.InferOutput<typeof Fault>;

/** When a stage works on a micro-batch. */
const Slot = v.object({ stage: Count, microBatch: Count, beginNs: Ns, ns: Ns });

const Comparison = v.object({
  ...{ unit: v.picklist(['run', 'round']), weak: v.boolean(), runsA: Count, runsB: Count },
  drivers: v.array(Text),
  rows: v.array(
    v.object({
      ...{ name: Text, ratio: v.number(), low: v.number(), high: v.number(), runs: v.optional(v.unknown()) },
      ...{ medianA: v.number(), medianB: v.number(), p: v.number(), pHolm: v.number() },
      ...{ pJoint: v.optional(v.number()), least: v.number(), certain: v.boolean() },
      word: v.picklist(['slower', 'faster', 'same', 'ambiguous']),
    }),
  ),
  missing: v.array(v.object({ name: Text, runs: v.array(Text) })),
  falseAlarms: v.nullable(v.number()),
});

/** What a job leaves. */
export const Outcome = v.variant('kind', [
  /** The result file of a bench, as `moebius bench` writes it. */
  v.object({ kind: v.literal('bench'), file: v.instance(Uint8Array) }),
  v.object({ kind: v.literal('validate'), model: v.nullable(ModelReport) }),
  v.object({
    kind: v.literal('own'),
    /** What the compiler says of the shader; then nothing was run. */
    errors: v.array(v.object({ line: Count, column: Count, message: Text, source: Text })),
    registered: v.nullable(Registered),
    file: v.nullable(v.instance(Uint8Array)),
  }),
  v.object({
    ...{ kind: v.literal('generate'), model: Text, worldSize: Count, text: Text },
    /** By a token that ends the text, not for want of further ones. */
    ended: v.boolean(),
    ...{ engineNs: Ns, prefillNs: Ns, decodeNs: Ns, hostSyncsInLayers: Count },
  }),
  v.object({
    ...{ kind: v.literal('timeline'), layout: Text, wallNs: Ns, clusterNs: Ns, microBatches: Count },
    rows: v.array(v.object({ group: Text, name: Text, ns: Ns, share: v.number(), calls: Count })),
    parts: v.array(v.object({ stage: Text, phase: Text, ns: Ns })),
    slots: v.array(Slot),
    trace: v.instance(Uint8Array),
  }),
  v.object({ kind: v.literal('compare'), found: Comparison }),
  v.object({ kind: v.literal('search'), layouts: FoundLayouts }),
  v.object({
    ...{ kind: v.literal('doctor'), readbackNs: Ns, dispatchNs: Ns, indirectNs: Ns, hostStepNs: Ns },
    ceilings: v.array(
      v.object({
        ...{ name: Text, footprintBytes: v.optional(v.number()), state: Text, unit: v.optional(Text) },
        ...{ value: v.optional(v.number()), reason: v.optional(Text), form: v.optional(Text) },
      }),
    ),
  }),
]);
export type Outcome = v.InferOutput<typeof Outcome>;
export type OutcomeOf<K extends Outcome['kind']> = Extract<Outcome, { kind: K }>;

/** What has come since the last such message; parts that have not are absent. */
export const Progress = v.object({
  /** Steps that ended, each with its result in a few words. */
  ended: v.optional(v.array(v.object({ title: Text, outcome: Text }))),
  /** The step that is under way, and what it is at. */
  ...{ title: v.optional(Text), text: v.optional(Text) },
  ...{ cases: v.optional(v.array(CaseRun)), rows: v.optional(v.array(LiveRow)) },
  ...{ tiles: v.optional(v.array(Tile)), tokens: v.optional(v.array(Token)) },
  /** Of a search: all so far. */
  layouts: v.optional(FoundLayouts),
});
export type Progress = v.InferOutput<typeof Progress>;

export const Report = v.variant('type', [
  v.object({ type: v.literal('greeted'), greeting: Greeting }),
  v.object({ type: v.literal('opened'), found: Opened }),
  v.object({ type: v.literal('refused'), fault: Fault }),
  v.object({ type: v.literal('progress'), id: v.number(), progress: Progress }),
  /** @param liveBytes of buffers that the job has left behind on its device: 0. */
  v.object({ type: v.literal('done'), id: v.number(), outcome: Outcome, liveBytes: v.number() }),
  v.object({
    ...{ type: v.literal('failed'), id: v.number(), fault: Fault },
    /** The device went away, or no adapter is given any more. */
    lost: v.boolean(),
  }),
]);
export type Report = v.InferOutput<typeof Report>;
