/** The whole tuning run: shape by shape under a time budget, and the check of what an earlier run has kept. */
import { chooseClock, type BenchClock } from '../measure/stopwatch.ts';
import { SILENT, type Progress } from '../bench/progress.ts';
import { messageOf } from '../core/errors.ts';
import { at } from '../core/math.ts';
import { seedOf } from '../core/random.ts';
import { formatPercent } from '../core/units.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { CodeOf, TuningQuestion } from '../gpu/tuning.ts';
import type { Platform } from '../platform/platform.ts';
import { TUNING_SCHEMA, TUNING_VERSION, type TuningCache } from './cache.ts';
import { ratio } from './decide.ts';
import { measurePoint, questionsOf } from './measure-point.ts';
import type { TuningPoint } from './point.ts';
import { keyOf, keyText, sameShape, type ShapeKey } from './shape-key.ts';
import { subjectCase, subjectText, type Subject } from '../validate/draw/subject.ts';

export interface TuneOptions {
  readonly subjects: readonly Subject[];
  /** Host time to spend. What is being measured when it ends is finished. */
  readonly budgetNs: number;
  /** Version of this package. */
  readonly project: string;
  /** Families of kernels; all when absent. */
  readonly families?: readonly string[];
  /** Only say what would be measured. */
  readonly dryRun?: boolean;
  /** What earlier runs have measured: it is not measured again while it still says something about the kernels here. */
  readonly known?: readonly TuningPoint[];
  /** Called after each shape with its points, so that they are kept however the run ends. */
  readonly onPoints?: (points: readonly TuningPoint[], clock: BenchClock) => Promise<void>;
  readonly progress?: Progress;
}

export interface TuneReport {
  readonly clock: BenchClock;
  readonly points: readonly TuningPoint[];
  /** How many choices an earlier run had measured, which were not measured again. */
  readonly resumed: number;
  /** Shapes without a result, and why. */
  readonly unmeasured: readonly { readonly what: string; readonly reason: string }[];
  /** Variants whose result was wrong. */
  readonly wrong: readonly { readonly what: string; readonly variant: string; readonly message: string }[];
  /** What a dry run would measure. */
  readonly plan: readonly PlannedPoint[];
}

export interface PlannedPoint extends ShapeKey {
  readonly subject: Subject;
  readonly index: number;
  readonly default: string;
  readonly candidates: readonly string[];
  readonly refused: readonly { readonly name: string; readonly reason: string }[];
}

/** Fingerprints of shaders as they are now. */
export function codesOf(platform: Platform): CodeOf {
  const codeOf = (text: string): string => seedOf(text).toString(16).padStart(8, '0');
  const known = new Map<string, string>();
  return (shader, text) => {
    if (text !== undefined) return codeOf(text);
    const code = known.get(shader) ?? codeOf(platform.shaderSource(shader));
    known.set(shader, code);
    return code;
  };
}

export async function tuneKernels(gpu: Gpu, options: TuneOptions): Promise<TuneReport> {
  const { families, project, progress = SILENT, dryRun = false, known = [] } = options;
  const wantedOf = (subject: Subject): string[] =>
    familiesOf(subject).filter((family) => families?.includes(family) ?? true);
  const subjects = options.subjects.filter((subject) => wantedOf(subject).length > 0);
  const texts = new Set(known.map(({ subject }) => subjectText(subject)));
  /** Those that share the time that is left; what is known already takes none. */
  let waiting = subjects.filter((subject) => !texts.has(subjectText(subject))).length;
  const end = gpu.platform.now() + options.budgetNs;
  const clock = await chooseClock(gpu);
  const points: TuningPoint[] = [];
  const unmeasured: { what: string; reason: string }[] = [];
  for (const family of families ?? []) {
    if (!subjects.some((subject) => familiesOf(subject).includes(family)))
      unmeasured.push({
        what: family,
        reason: 'none of the shapes is of this family; name some with --shapes',
      });
  }
  const wrong: { what: string; variant: string; message: string }[] = [];
  const plan: PlannedPoint[] = [];
  const codeOf = codesOf(gpu.platform);
  let resumed = 0;
  for (const subject of subjects) {
    const what = subjectText(subject);
    if (!dryRun && gpu.platform.now() >= end) {
      unmeasured.push({ what, reason: 'no time left' });
      continue;
    }
    const measure = async (say: (text: string) => void): Promise<readonly TuningPoint[]> => {
      const kernelCase = subjectCase(subject);
      const all = (await questionsOf(gpu, kernelCase))
        .map((question, index) => ({ question, index }))
        .filter(({ question }) => wantedOf(subject).includes(question.family));
      const asked = all.filter(({ question }) => !isKnown(question, known, codeOf));
      resumed += all.length - asked.length;
      for (const { question, index } of asked) plan.push(planned(subject, question, index));
      if (dryRun) return [];
      const found: TuningPoint[] = [];
      for (const [n, { question, index }] of asked.entries()) {
        const share = (end - gpu.platform.now()) / Math.max(1, waiting) / (asked.length - n);
        const result = await measurePoint(gpu, {
          ...{ subject, kernelCase, index, question, clock, project, codeOf },
          budgetNs: Math.max(0, share),
          say: (text) => say(`${question.family}: ${text}`),
        });
        for (const w of result.wrong)
          wrong.push({ what: keyText(keyOf(question.family, question.shape)), ...w });
        if (result.point !== undefined) found.push(result.point);
        else unmeasured.push({ what: `${what}, ${question.family}`, reason: result.reason ?? 'no result' });
      }
      return found;
    };
    const before = resumed;
    let found: readonly TuningPoint[] = [];
    try {
      found = await progress.step(what, measure, (made) => outcomeText(made, dryRun, resumed - before));
    } catch (error) {
      gpu.requireUsable();
      unmeasured.push({ what, reason: messageOf(error) });
    }
    if (!texts.has(what)) waiting--;
    for (const point of found) points.push(point);
    if (found.length > 0) await options.onPoints?.(found, clock);
  }
  return { clock, points, resumed, unmeasured, wrong, plan };
}

/**
 * Whether an earlier run has answered a question: the same shape and default, and of every variant that can run here
 * times of the same text of its shader, or a reason why there are none.
 */
export function isKnown(
  { family, shape, able }: TuningQuestion,
  known: readonly TuningPoint[],
  codeOf: CodeOf,
): boolean {
  const key = keyOf(family, shape);
  return known.some(
    (point) =>
      sameShape(point, key) &&
      point.default === able[0]?.name &&
      able.every(({ name, shader, text }) => {
        const evidence = point.evidence.find(({ variant }) => variant === name);
        return evidence === undefined
          ? point.left.some(({ variant }) => variant === name)
          : evidence.code === codeOf(shader, text);
      }),
  );
}

/**
 * An op is measured for the family of its name, though it may ask for others: a layer's gating is tuned as gating. A layer
 * is measured for its way through the experts too; one that is given its router, for the router only.
 */
function familiesOf({ op, with: given = [] }: Subject): readonly string[] {
  if (op !== 'moe') return [op];
  return given.includes('gate') ? ['router'] : ['moe', 'moe-path'];
}

function planned(subject: Subject, question: TuningQuestion, index: number): PlannedPoint {
  const names = question.able.map(({ name }) => name);
  const { refused } = question;
  const key = keyOf(question.family, question.shape);
  return { ...key, subject, index, default: at(names, 0), candidates: names.slice(1), refused };
}

function outcomeText(found: readonly TuningPoint[], dryRun: boolean, resumed: number): string {
  if (found.length === 0 && resumed > 0) return 'measured by an earlier run';
  if (dryRun) return 'planned';
  if (found.length === 0) return 'nothing to choose, or no result';
  return found
    .map((p) => (p.choice === null ? `${p.default} stands` : `${p.choice}: ${p.reason}`))
    .join('; ');
}

export interface RecheckReport {
  readonly points: readonly TuningPoint[];
  readonly dropped: readonly { readonly what: string; readonly reason: string }[];
  /** Choices of variants that are not here, as a user's own without its module: they stay as they are. */
  readonly absent: readonly string[];
  readonly kept: number;
  readonly wrong: TuneReport['wrong'];
}

/** Measures every kept choice against the default again. One that is slower, or cannot be measured, is dropped. */
export async function recheckPoints(
  gpu: Gpu,
  points: readonly TuningPoint[],
  options: Pick<TuneOptions, 'budgetNs' | 'project' | 'progress' | 'onPoints'>,
): Promise<RecheckReport> {
  const { progress = SILENT, project } = options;
  const end = gpu.platform.now() + options.budgetNs;
  const clock = await chooseClock(gpu);
  const codeOf = codesOf(gpu.platform);
  const dropped: { what: string; reason: string }[] = [];
  const absent: string[] = [];
  const wrong: { what: string; variant: string; message: string }[] = [];
  const checked: TuningPoint[] = [];
  const entries = points.filter(({ choice }) => choice !== null);
  let done = 0;
  for (const point of points) {
    if (point.choice === null) {
      checked.push(point);
      continue;
    }
    const { choice, subject, index } = point;
    const what = keyText(point);
    const budgetNs = Math.max(0, (end - gpu.platform.now()) / (entries.length - done++));
    const again = await progress.step(
      `${what}: ${choice} against ${point.default}`,
      async () => {
        const kernelCase = subjectCase(subject);
        const question = (await questionsOf(gpu, kernelCase))[index];
        if (question?.family !== point.family) return undefined;
        if (![...question.able, ...question.refused].some(({ name }) => name === choice)) return 'absent';
        const result = await measurePoint(gpu, {
          ...{ subject, kernelCase, index, question, clock, project, codeOf },
          ...{ budgetNs, only: [choice] },
        });
        for (const w of result.wrong) wrong.push({ what, ...w });
        return result.point;
      },
      (found) => (found === 'absent' ? `${choice} is not here` : (verdictOn(found, choice) ?? 'kept')),
    );
    if (again === 'absent') {
      absent.push(`${what}: ${choice}`);
      checked.push(point);
      continue;
    }
    const reason = verdictOn(again, choice);
    if (again === undefined || reason !== undefined) {
      dropped.push({ what: `${what}: ${choice}`, reason: reason ?? '' });
      checked.push({ ...(again ?? point), choice: null, reason: reason ?? '' });
    } else checked.push({ ...again, choice, reason: again.choice === choice ? again.reason : point.reason });
    await options.onPoints?.(checked.slice(-1), clock);
  }
  const kept = entries.length - dropped.length - absent.length;
  return { points: checked, dropped, absent, kept, wrong };
}

/** Why a choice is dropped; undefined when it is kept. */
export function verdictOn(again: TuningPoint | undefined, choice: string): string | undefined {
  const [own, other] = [choice, again?.default].map((name) =>
    again?.evidence.find((e) => e.variant === name),
  );
  if (own === undefined || other === undefined) return 'dropped: it could not be measured again';
  const share = ratio(own, other);
  if (share <= 1) return undefined;
  return `dropped: on re-check it took ${formatPercent(share - 1)} more time than the default`;
}

/** New points in place of old ones of the same shape; the others stay. */
export function mergePoints(old: readonly TuningPoint[], fresh: readonly TuningPoint[]): TuningPoint[] {
  return [...old.filter((point) => !fresh.some((other) => sameShape(point, other))), ...fresh];
}

export function cacheOf(
  gpu: Gpu,
  clock: BenchClock,
  project: string,
  points: readonly TuningPoint[],
): TuningCache {
  const { name, driver, kernels } = gpu.facts;
  const { flopsPerSecond, source } = gpu.peak;
  return {
    ...{ schema: TUNING_SCHEMA, version: TUNING_VERSION },
    adapter: { name, driver, ...(kernels && { kernels }) },
    ...{ date: new Date().toISOString(), project, clock },
    ...(source === 'measured' && { peakFlops: flopsPerSecond }),
    points,
  };
}
