/** What the page asks its worker for. Checked where it arrives: nothing else is done. */
import * as v from 'valibot';

/** Guesses, far above what anybody types; files have limits of their own. */
const MOST_WORD = 300;
const MOST_SHADER = 2 ** 20;
const MOST_DEFINITION = 2 ** 16;
const MOST_PROMPT = 2 ** 16;

const Word = v.pipe(v.string(), v.maxLength(MOST_WORD));
const Words = v.pipe(v.array(Word), v.maxLength(100));
const Seconds = v.pipe(v.number(), v.minValue(0.1), v.maxValue(3600));
const Positive = v.pipe(v.number(), v.finite(), v.minValue(0));
const Whole = (least: number, most: number) =>
  v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most));

/** One file that was dropped, with its place in the folder. */
const Dropped = v.strictObject({ path: Word, file: v.instance(Blob) });
const Result = v.strictObject({ name: Word, bytes: v.instance(Uint8Array) });

/** The bundled model when no files were dropped. */
const Model = v.pipe(v.array(Dropped), v.maxLength(200));

export const Job = v.variant('kind', [
  v.strictObject({
    ...{ kind: v.literal('bench'), seconds: Seconds, layout: Word },
    /** Of all when both are empty: then the model runs, too. */
    ...{ families: Words, kernels: Words },
  }),
  v.strictObject({
    ...{ kind: v.literal('validate'), quick: v.boolean(), layout: Word },
    /** Of all, and the model, when absent. */
    family: v.optional(Word),
  }),
  v.strictObject({
    ...{ kind: v.literal('own'), seconds: Seconds },
    definition: v.pipe(v.string(), v.maxLength(MOST_DEFINITION)),
    shader: v.pipe(v.string(), v.maxLength(MOST_SHADER)),
  }),
  v.strictObject({
    ...{ kind: v.literal('generate'), layout: Word, model: Model },
    prompt: v.pipe(v.string(), v.maxLength(MOST_PROMPT)),
    /** Of the model's layers; all when empty. */
    layers: Word,
    /** The prompt is a message of a user, put into the model's chat template. */
    chat: v.boolean(),
    ...{ tokens: Whole(1, 4096), temperature: Positive, seed: Whole(0, 2 ** 32 - 1) },
    /** 0: of all tokens. */
    ...{ topK: Whole(0, 2 ** 24), topP: Positive, repetitionPenalty: Positive },
  }),
  v.strictObject({
    ...{ kind: v.literal('timeline'), layout: Word, step: v.picklist(['prefill', 'decode']) },
    ...{ batch: Whole(1, 256), tokens: Whole(1, 1024) },
  }),
  v.strictObject({
    kind: v.literal('compare'),
    a: v.pipe(v.array(Result), v.maxLength(50)),
    b: v.pipe(v.array(Result), v.maxLength(50)),
  }),
  v.strictObject({
    ...{ kind: v.literal('search'), model: Word, hardware: Word },
    gpus: v.pipe(v.array(Whole(1, 2 ** 20)), v.maxLength(100)),
    /** Of which is told where it stands; empty: none. */
    layout: Word,
    /** ms; 0: no limit. */
    ...{ ttft: Positive, tpot: Positive },
    /** 0 requests at once: four a GPU. */
    ...{ isl: Whole(1, 2 ** 24), osl: Whole(1, 2 ** 24), concurrency: Whole(0, 100_000) },
  }),
  v.strictObject({ kind: v.literal('doctor'), seconds: Seconds }),
]);
export type Job = v.InferOutput<typeof Job>;
export type JobOf<K extends Job['kind']> = Extract<Job, { kind: K }>;

export const Order = v.variant('type', [
  /** Examines the adapter. @param base of files: the page's address. */
  v.strictObject({ type: v.literal('open'), base: v.pipe(v.string(), v.url()) }),
  v.strictObject({ type: v.literal('start'), id: v.number(), base: v.pipe(v.string(), v.url()), job: Job }),
  v.strictObject({ type: v.literal('cancel'), id: v.number() }),
  /** Ends the device of the job that is running, as a driver may. */
  v.strictObject({ type: v.literal('destroy') }),
]);
export type Order = v.InferOutput<typeof Order>;
