/** What a run amounts to: a few judgements, each with its own grounds. */
import { formatNumber } from '../core/units.ts';
import type { AdapterKind } from '../platform/platform.ts';
import { ceilingFailures } from './ceilings/above-roof.ts';
import type { CardRate } from './model/card-rate.ts';
import type { Ceilings } from './ceilings/ceilings.ts';
import { failureText, type FamilyReport } from './kernels/check.ts';
import type { KernelTiming } from './kernels/suite.ts';
import type { Interruption } from './progress.ts';
import type { ModelReport } from './model/check.ts';
import { RATIO_LIMIT, RATIO_TOKENS, type ForwardComparison } from './model/sharded.ts';
import { summarise } from '../measure/statistics.ts';
import { TARGET_TOKENS_PER_MS_PER_GPU } from './model/throughput.ts';

export interface Judgement {
  readonly what: 'checks' | 'timings' | 'ratio' | 'target';
  /** `open`: it cannot be told from this run. */
  readonly state: 'pass' | 'fail' | 'open';
  readonly text: string;
}

export interface Verdict {
  /** `incomplete`: no check failed, but something that is taken by default was not measured. */
  readonly outcome: 'pass' | 'failed' | 'incomplete';
  readonly judgements: readonly Judgement[];
}

/** What the verdict rests on; parts of a result. */
export interface Grounds {
  readonly adapter: { readonly facts: { readonly kind: AdapterKind } };
  readonly checks: {
    readonly kernels: readonly FamilyReport[];
    readonly notRun: number;
    readonly model: ModelReport | null;
  };
  readonly ceilings: Ceilings;
  readonly kernels: readonly KernelTiming[];
  readonly forward: ForwardComparison | null;
  readonly card: CardRate | null;
  readonly interrupted?: Interruption | undefined;
}

export function verdictOf(grounds: Grounds): Verdict {
  const judgements = [checksOf(grounds), timingsOf(grounds), ratioOf(grounds), targetOf(grounds)];
  // Whether the target is reached is a finding, not a check.
  const held = judgements.filter(({ what }) => what === 'checks' || what === 'ratio');
  const isComplete = judgements.every(({ what, state }) => what !== 'timings' || state !== 'fail');
  const failed = held.some(({ state }) => state === 'fail');
  return { outcome: failed ? 'failed' : isComplete ? 'pass' : 'incomplete', judgements };
}

/** Every failed check in words, the kernels' first. */
export function failuresOf({ checks, ceilings, kernels, forward }: Grounds): string[] {
  const { model } = checks;
  return [
    ...checks.kernels.flatMap(({ family, failures }) => failures.map((run) => failureText(family, run))),
    ...(model === null ? [] : modelFailures(model)),
    ...ceilingFailures(ceilings),
    ...kernels.flatMap(({ family, name, variant, timing }) =>
      timing.state === 'failed' ? [failureText(family, { name, variant, message: timing.reason })] : [],
    ),
    ...(forward?.pass === false ? ['the sharded forward pass differs from the unsharded one'] : []),
  ];
}

/** What of the model's check did not pass. */
export function modelFailures({ model, pass, checks, error }: ModelReport): string[] {
  const failures = checks
    .filter((check) => !check.pass)
    .map(({ what, who, against, found }) => `${model}: ${what}, ${who} - ${against}: ${found}`);
  if (error !== undefined) failures.unshift(`${model}: ${error}`);
  return pass || failures.length > 0 ? failures : [`${model}: its check did not pass`];
}

/** Rows without a time, but for those that failed: what, and why. */
export function unmeasured(kernels: readonly KernelTiming[]): { row: KernelTiming; reason: string }[] {
  return kernels.flatMap((row) => {
    const { timing } = row;
    if (timing.state === 'skipped') return [{ row, reason: timing.reason }];
    if (timing.state === 'too-fine') return [{ row, reason: 'the clock is too coarse' }];
    return [];
  });
}

function checksOf(grounds: Grounds): Judgement {
  const { kernels, model, notRun } = grounds.checks;
  const failures = failuresOf(grounds);
  const runs = kernels.reduce((total, family) => total + family.runs, 0);
  const left =
    notRun === 0
      ? ''
      : `; NOT CHECKED: ${notRun} runs of variants that are not taken by default, no time left`;
  if (failures.length === 0) {
    return {
      ...{ what: 'checks', state: 'pass' },
      text: `${runs} kernel runs${model === null ? '' : `, and ${model.checks.length} checks of the model`} pass${left}`,
    };
  }
  const more = failures.length === 1 ? '' : `, and ${failures.length - 1} more`;
  return { what: 'checks', state: 'fail', text: `${failures[0]}${more}${left}` };
}

const isAsked = ({ choice, registered }: KernelTiming): boolean =>
  choice !== undefined || registered === true;

function timingsOf({ kernels, interrupted }: Grounds): Judgement {
  const missing = unmeasured(kernels);
  const taken = missing.filter(({ row }) => isAsked(row) && row.timing.state === 'skipped');
  const measured = kernels.filter(({ timing }) => timing.state === 'measured').length;
  const base = `${measured} of ${kernels.length} kernels measured`;
  if (interrupted !== undefined) {
    const { during, reason } = interrupted;
    return { what: 'timings', state: 'fail', text: `${base}; CUT SHORT during "${during}": ${reason}` };
  }
  if (missing.length === 0) return { what: 'timings', state: 'pass', text: base };
  const reasons = [...new Set(missing.map(({ reason }) => reason))].join(', ');
  return {
    what: 'timings',
    state: taken.length > 0 ? 'fail' : 'open',
    text: `${base}; NOT MEASURED: ${missing.length}, ${taken.length} of them taken by default${taken.some(({ row }) => row.registered) ? ' or your own' : ''} (${reasons})`,
  };
}

function ratioOf({ forward, checks, interrupted }: Grounds): Judgement {
  const what = 'ratio';
  if (forward === null && interrupted)
    return { what, state: 'open', text: 'not measured: the run was cut short' };
  if (checks.model === null)
    return { what, state: 'open', text: 'not measured: only some kernels were asked for' };
  if (forward?.ratio === undefined)
    return { what, state: 'open', text: 'not measured: a check failed before' };
  const { median, low, high, count } = forward.ratio;
  const found = `all ranks take ${formatNumber(median)} times one rank (${formatNumber(low)} to ${formatNumber(high)})`;
  const limit = `the limit of ${RATIO_LIMIT}`;
  if (forward.tokens < RATIO_TOKENS) {
    const text = `${found}; ${limit} is for ${RATIO_TOKENS.toLocaleString('en')} tokens, not for ${forward.tokens}`;
    return { what, state: 'open', text };
  }
  if (count < RATIO_SAMPLES) {
    return { what, state: 'open', text: `${found}: ${limit} is not resolvable with ${count} samples` };
  }
  if (high <= RATIO_LIMIT) return { what, state: 'pass', text: `${found}: it meets ${limit}` };
  if (low > RATIO_LIMIT) return { what, state: 'fail', text: `${found}: it misses ${limit}` };
  return { what, state: 'open', text: `${found}: ${limit} is not resolvable, the interval holds it` };
}

/** The extremes of fewer hold the median with less than 95 %. */
export const RATIO_SAMPLES = 6;

function targetOf({ adapter, card, checks }: Grounds): Judgement {
  const what = 'target';
  const { kind } = adapter.facts;
  if (kind === 'unknown') {
    return { what, state: 'open', text: 'not judged: the adapter does not say what it is' };
  }
  if (kind !== 'gpu') return { what, state: 'open', text: 'not judged on a software adapter' };
  if (card === null) {
    const why = checks.model === null ? 'only some kernels were asked for' : 'a check failed before';
    return { what, state: 'open', text: `not judged: ${why}` };
  }
  if (card.state === 'skipped') return { what, state: 'open', text: `not judged: ${card.reason}` };
  const { median, low, high } = summarise(card.tokensPerMs);
  const goal = TARGET_TOKENS_PER_MS_PER_GPU;
  const found =
    `one GPU passes ${formatNumber(median)} tokens/ms (${formatNumber(low)} to ${formatNumber(high)}) of the card model, ` +
    `from ${card.layers} of its ${card.modelLayers} layers, without network`;
  if (low >= goal) return { what, state: 'pass', text: `${found}: the target of ${goal} is reached` };
  if (high < goal) return { what, state: 'fail', text: `${found}: the target of ${goal} is not reached` };
  return { what, state: 'open', text: `${found}: the target of ${goal} is not resolvable` };
}
