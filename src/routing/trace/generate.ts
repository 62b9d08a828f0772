/**
 * Made-up routing, seeded. A token's router logits are ln(E p) + Gumbel noise, and it takes the K largest: that is drawing
 * K experts one after the other without replacement, each from p over what is left (successive sampling, Plackett-Luce).
 * T tokens, E experts, K choices.
 */
import { ConfigError } from '../../core/errors.ts';
import { requireFields, requireGiven } from '../../core/given.ts';
import type { ScoreFunction } from '../../core/gating.ts';
import { at, maxOf, range, sum } from '../../core/math.ts';
import { type Random, seededRandom, shuffled } from '../../core/random.ts';
import { quoted } from '../../core/text/quoted.ts';
import { requireName } from '../capacity.ts';
import type { Choices } from '../choices.ts';

/**
 * - `uniform`: p is 1/E.
 * - `zipf:s`: p falls as rank^-s; which expert has which rank is shuffled by the seed. s is 1.2 where it is left out.
 * - `bursty:f`: runs of 64 to 512 tokens, in each of which one expert in eight is f times as likely; f is 16 where left out.
 * - `sequence-local:l`: sequences of l tokens with a p of their own each, exp(2 normal); l is 128 where it is left out.
 * - `adversarial`: all tokens take the experts 0 to K - 1.
 */
export const TRACE_GENERATORS = ['uniform', 'zipf', 'bursty', 'sequence-local', 'adversarial'] as const;
export type TraceGenerator = (typeof TRACE_GENERATORS)[number];

/** A generator and its number, as 'zipf:1.2' has them. */
export interface GeneratorSpec {
  readonly name: TraceGenerator;
  readonly value: number;
}

const RULES: Readonly<Record<TraceGenerator, { value: number; least: number; most: number; whole?: true }>> =
  {
    uniform: { value: 0, least: 0, most: 0 },
    zipf: { value: 1.2, least: 0, most: 10 },
    bursty: { value: 16, least: 1, most: 1e6 },
    'sequence-local': { value: 128, least: 1, most: 1e9, whole: true },
    adversarial: { value: 0, least: 0, most: 0 },
  };

/** Reads 'zipf:1.2'. @throws ConfigError for another name or a number that it cannot have. */
export function parseGenerator(text: string): GeneratorSpec {
  requireGiven('The generator', text, 'string');
  const [name = '', given, ...more] = text.split(':');
  requireName('generator', name, TRACE_GENERATORS);
  const { value, least, most, whole } = RULES[name as TraceGenerator];
  if (given === undefined) return { name: name as TraceGenerator, value };
  const number = given.trim() === '' ? NaN : Number(given);
  const fits = number >= least && number <= most && (whole !== true || Number.isInteger(number));
  if (fits && more.length === 0 && most > 0) return { name: name as TraceGenerator, value: number };
  const rule =
    most === 0
      ? 'it takes no number'
      : `its number must be ${whole ? 'whole, ' : ''}from ${least} to ${most}`;
  throw new ConfigError(`the generator is ${quoted(text)}; ${rule}.`);
}

export function formatGenerator({ name, value }: GeneratorSpec): string {
  return RULES[name].most === 0 ? name : `${name}:${value}`;
}

export interface GeneratedSizes {
  readonly numTokens: number;
  readonly numExperts: number;
  readonly topK: number;
  readonly seed: number;
}

/** A generator of tokens: each call of `next` gives the logits of one more, [E]. */
export function logitsOf(spec: GeneratorSpec, sizes: Omit<GeneratedSizes, 'numTokens'>): () => Float64Array {
  const random = seededRandom(sizes.seed);
  const logP = logWeights(spec, sizes, random);
  return () => {
    const logits = Float64Array.from(logP());
    for (let e = 0; e < logits.length; e++) logits[e] = at(logits, e) - Math.log(-Math.log(positive(random)));
    return logits;
  };
}

/** Gumbel noise of 32 random bits is at most 23. */
const BEYOND_NOISE = 100;

function positive(random: Random): number {
  return (random.integer(2 ** 32) + 0.5) / 2 ** 32;
}

/** Weights as ln(E p): uniform is 0. */
function normalised(logs: readonly number[]): number[] {
  const highest = maxOf(logs);
  const mean = sum(logs.map((log) => Math.exp(log - highest))) / logs.length;
  return logs.map((log) => log - highest - Math.log(mean));
}

/** ln(E p) of the next token. */
function logWeights(
  { name, value }: GeneratorSpec,
  { numExperts, topK }: Omit<GeneratedSizes, 'numTokens'>,
  random: Random,
): () => readonly number[] {
  const experts = range(numExperts);
  if (name === 'uniform') return () => experts.map(() => 0);
  if (name === 'adversarial') return () => experts.map((e) => (e < topK ? 0 : -BEYOND_NOISE));
  if (name === 'zipf') {
    const order = shuffled(experts, random);
    const fixed = normalised(experts.map((e) => -value * Math.log(at(order, e) + 1)));
    return () => fixed;
  }
  let now: number[] = [];
  let left = 0;
  return () => {
    if (left === 0) {
      left = name === 'bursty' ? 64 + random.integer(449) : value;
      const logs = experts.map(() =>
        name === 'bursty' ? (random.integer(8) === 0 ? Math.log(value) : 0) : random.normal(2),
      );
      now = normalised(logs);
    }
    left -= 1;
    return now;
  };
}

export interface RouterOptions {
  readonly topK: number;
  /** Softmax over all experts, the default, or a sigmoid each, as DeepSeek-V3 has it. */
  readonly score?: ScoreFunction;
  /** [E], added to the scores for the choice only. */
  readonly bias_E?: readonly number[];
}

/** What a router chooses from rows of logits, [T] of [E]. Choices are weighed by their scores, renormalised. */
export function chooseTopK(rows: readonly Float64Array[], options: RouterOptions): Choices {
  requireGiven('The rows', rows, 'list');
  requireFields('The router', options, { topK: 'number', score: 'string?', bias_E: 'list?' });
  const { topK, score: by = 'softmax', bias_E } = options;
  const numExperts = rows[0]?.length ?? topK;
  const all_TE = new Float64Array(rows.length * numExperts);
  const ids_TK = new Uint32Array(rows.length * topK);
  const scores_TK = new Float64Array(rows.length * topK);
  const experts = range(numExperts);
  rows.forEach((logits, token) => {
    const score = by === 'softmax' ? softmax(logits) : logits.map((z) => 1 / (1 + Math.exp(-z)));
    all_TE.set(score, token * numExperts);
    // Logits tell scores apart that have underflowed.
    const rank = (e: number): number => (bias_E === undefined ? at(logits, e) : at(score, e) + at(bias_E, e));
    const chosen = [...experts].sort((a, b) => rank(b) - rank(a) || a - b).slice(0, topK);
    const weight = sum(chosen.map((e) => at(score, e)));
    ids_TK.set(chosen, token * topK);
    scores_TK.set(
      chosen.map((e) => (weight > 0 ? at(score, e) / weight : 1 / topK)),
      token * topK,
    );
  });
  return { numExperts, topK, ids_TK, scores_TK, all_TE };
}

function softmax(logits: Float64Array): Float64Array {
  const highest = maxOf(logits);
  const powers = logits.map((logit) => Math.exp(logit - highest));
  const total = sum(powers);
  return powers.map((power) => power / total);
}

/** Made-up choices of one source. @throws ConfigError for sizes that cannot be. */
export function generateChoices(spec: GeneratorSpec, sizes: GeneratedSizes): Choices {
  requireFields('The generator', spec, { name: 'string', value: 'number' });
  requireName('generator', spec.name, TRACE_GENERATORS);
  requireFields('The sizes', sizes, {
    numTokens: 'number',
    numExperts: 'number',
    topK: 'number',
    seed: 'number',
  });
  const { numTokens, numExperts, topK } = sizes;
  checkGenerated(sizes);
  const next = logitsOf(spec, sizes);
  const rows = range(numTokens).map(() => next());
  if (numTokens > 0) return chooseTopK(rows, { topK });
  const none = new Float64Array(0);
  return { numExperts, topK, ids_TK: new Uint32Array(0), scores_TK: none, all_TE: none };
}

/** Scores of all experts that are held at once: half a gigabyte. A guess. */
const MOST_SCORES = 2 ** 26;

function checkGenerated({ numTokens, numExperts, topK }: GeneratedSizes): void {
  if (!(Number.isInteger(topK) && topK >= 1 && topK <= numExperts)) {
    throw new ConfigError(`topK (${topK}) must be from 1 to the number of experts (${numExperts}).`);
  }
  if (!(Number.isInteger(numTokens) && numTokens >= 0 && numTokens * numExperts <= MOST_SCORES)) {
    throw new ConfigError(
      `${numTokens} tokens times ${numExperts} experts are more scores than ${MOST_SCORES}; take fewer tokens.`,
    );
  }
}
