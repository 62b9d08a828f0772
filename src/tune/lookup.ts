/** Measured choices as advice for the device: at a measured shape, between measured shapes, and nowhere else. */
import { maxOf } from '../core/math.ts';
import { formatPercent } from '../core/units.ts';
import type { CodeOf, Tuning, TuningQuestion } from '../gpu/tuning.ts';
import { beats, decide } from './decide.ts';
import { predict } from './interpolate.ts';
import type { Evidence, TuningPoint } from './point.ts';
import { keyOf, keyText, sameKind, sameShape, type ShapeKey } from './shape-key.ts';

/** How a question was answered. */
export interface Advice {
  readonly key: ShapeKey;
  readonly default: string;
  /** Undefined: the default stands. */
  readonly choice: string | undefined;
  readonly how: 'measured' | 'between' | 'nearest' | 'outside' | 'unknown';
  readonly note: string;
}

export interface TuningTable extends Tuning {
  readonly points: readonly TuningPoint[];
  /** Points that leave the default. */
  readonly entries: number;
  /** One for each different question so far. */
  readonly advice: readonly Advice[];
}

/** @param codeOf fingerprint of a shader's text as it is now. */
export function tuningTable(points: readonly TuningPoint[], codeOf: CodeOf): TuningTable {
  const known = new Map<string, Advice>();
  return {
    points,
    entries: points.filter(({ choice }) => choice !== null).length,
    get advice() {
      return [...known.values()];
    },
    choose(question) {
      const key = keyOf(question.family, question.shape);
      const text = `${keyText(key)} of ${question.able.map(({ name }) => name).join()}`;
      let advice = known.get(text);
      if (advice === undefined) {
        advice = adviseOn(question, key, points, codeOf);
        known.set(text, advice);
      }
      return advice.choice;
    },
  };
}

/** What `points` say about a question. */
export function adviseOn(
  { able }: TuningQuestion,
  key: ShapeKey,
  points: readonly TuningPoint[],
  codeOf: CodeOf,
): Advice {
  const defaultName = able[0]?.name ?? '';
  const codes = new Map(able.map(({ name, shader, text }) => [name, codeOf(shader, text)]));
  // Times of another text of the shader, or of what cannot run here, are no evidence.
  const usable = points
    .filter((point) => sameKind(point, key))
    .map((point) => ({ ...point, evidence: point.evidence.filter((e) => codes.get(e.variant) === e.code) }))
    .filter(({ evidence }) => evidence.some(({ variant }) => variant === defaultName));
  const answer = (how: Advice['how'], choice: string | undefined, note: string): Advice => ({
    ...{ key, default: defaultName, how, note },
    choice: choice === defaultName ? undefined : choice,
  });

  const exact = usable.find((point) => sameShape(point, key));
  if (exact !== undefined) {
    const { choice, reason } = decideAt(exact, defaultName);
    return answer('measured', choice ?? undefined, reason);
  }
  if (usable.length === 0) return answer('unknown', undefined, 'nothing of its kind was measured');
  const prediction = predict(key, usable);
  if (prediction === undefined) return answer('outside', undefined, 'too far from what was measured');
  const { timeNs, how, points: used } = prediction;
  const own = timeNs.get(defaultName);
  const [best] = [...timeNs].sort(([, a], [, b]) => a - b);
  if (own === undefined || best === undefined) return answer(how, undefined, 'the default has no time');
  const [name, ns] = best;
  // Between shapes a choice must also have been proven at one of them.
  const proven = used.some((point) => isProven(point, name, defaultName));
  const spread = maxOf(used.map((point) => point.spread));
  const places = used.map(keyText).join('; ');
  if (name === defaultName || !proven || !(1 - ns / own > spread)) {
    return answer(how, undefined, `no certain gain, by ${places}`);
  }
  return answer(how, name, `${formatPercent(1 - ns / own)} less time, by ${places}`);
}

/** The stored decision, or with another default than there was a new one from the same evidence. */
function decideAt(point: TuningPoint, defaultName: string): { choice: string | null; reason: string } {
  const { choice, reason, evidence, spread, grainNs } = point;
  const has = (name: string): boolean => evidence.some(({ variant }) => variant === name);
  if (point.default === defaultName && (choice === null || has(choice))) return { choice, reason };
  return decide(evidence, defaultName, spread, grainNs);
}

function isProven({ evidence, spread, grainNs }: TuningPoint, name: string, defaultName: string): boolean {
  const of = (wanted: string): Evidence | undefined => evidence.find(({ variant }) => variant === wanted);
  const [candidate, own] = [of(name), of(defaultName)];
  return candidate !== undefined && own !== undefined && beats(candidate, own, spread, grainNs);
}
