/** GPU time of a forward pass, by pipeline stage and by phase of a layer. */
import { sum } from '../../core/math.ts';

/** The part of a span that is needed here. */
export interface PlacedTime {
  readonly tag: { readonly stage: number; readonly operation: string };
  /** With a pass per dispatch. */
  readonly kernel?: string | undefined;
  readonly ns: number | undefined;
}

export interface StageShare {
  readonly stage: string;
  readonly ns: number;
  readonly passes: number;
  readonly phases: readonly PhaseShare[];
}

export interface PhaseShare {
  readonly phase: string;
  readonly ns: number;
  readonly passes: number;
  /** Share of all stages' time. */
  readonly share: number;
}

export interface StageProfile {
  readonly totalNs: number;
  /** Passes whose clock went backwards; their time is missing in the sums. */
  readonly voidPasses: number;
  readonly stages: readonly StageShare[];
  /** The same time by kernel; empty unless every dispatch had a pass of its own. */
  readonly kernels: readonly PhaseShare[];
}

/** Sums the spans of one forward pass. Stages and phases keep the order in which they first ran. */
export function profileStages(spans: readonly PlacedTime[]): StageProfile {
  const totalNs = sum(spans.map(({ ns }) => ns ?? 0));
  const byStage = groupBy(spans, ({ tag }) => `stage ${tag.stage}`);
  const stages = [...byStage].map(([stage, members]) => ({
    stage,
    ns: sum(members.map(({ ns }) => ns ?? 0)),
    passes: members.length,
    phases: shares(members, ({ tag }) => tag.operation, totalNs),
  }));
  const withKernel = spans.filter(({ kernel }) => kernel !== undefined);
  return {
    totalNs,
    voidPasses: spans.filter(({ ns }) => ns === undefined).length,
    stages,
    kernels: shares(withKernel, ({ kernel }) => kernel ?? '', totalNs).sort((a, b) => b.ns - a.ns),
  };
}

function shares(
  spans: readonly PlacedTime[],
  keyOf: (span: PlacedTime) => string,
  totalNs: number,
): PhaseShare[] {
  return [...groupBy(spans, keyOf)].map(([phase, members]) => {
    const ns = sum(members.map((member) => member.ns ?? 0));
    return { phase, ns, passes: members.length, share: totalNs === 0 ? 0 : ns / totalNs };
  });
}

function groupBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) {
    const key = keyOf(value);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [value]);
    else group.push(value);
  }
  return groups;
}
