/** GPU time of a forward pass, by pipeline stage and by phase of a layer. */
import { sum } from '../../core/math.ts';

/** The part of a span that is needed here. */
export interface LabelledTime {
  /** 'stage 0/attention', or 'stage 0/attention|gemm/register.wgsl' with a pass per dispatch. */
  readonly label: string;
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

interface Parts {
  readonly stage: string;
  readonly phase: string;
  readonly kernel: string | undefined;
}

/** partsOf('stage 0/attention|gemm/register.wgsl') = {stage: 'stage 0', phase: 'attention', kernel: 'gemm/register.wgsl'} */
export function partsOf(label: string): Parts {
  const [place = '', kernel] = label.split('|');
  const slash = place.indexOf('/');
  if (slash < 0) return { stage: place, phase: '(all)', kernel };
  return { stage: place.slice(0, slash), phase: place.slice(slash + 1), kernel };
}

/** Sums the spans of one forward pass. Stages and phases keep the order in which they first ran. */
export function profileStages(spans: readonly LabelledTime[]): StageProfile {
  const totalNs = sum(spans.map(({ ns }) => ns ?? 0));
  const byStage = groupBy(spans, ({ label }) => partsOf(label).stage);
  const stages = [...byStage].map(([stage, members]) => ({
    stage,
    ns: sum(members.map(({ ns }) => ns ?? 0)),
    passes: members.length,
    phases: shares(members, ({ label }) => partsOf(label).phase, totalNs),
  }));
  const withKernel = spans.filter(({ label }) => label.includes('|'));
  return {
    totalNs,
    voidPasses: spans.filter(({ ns }) => ns === undefined).length,
    stages,
    kernels: shares(withKernel, ({ label }) => partsOf(label).kernel ?? '', totalNs).sort(
      (a, b) => b.ns - a.ns,
    ),
  };
}

function shares(
  spans: readonly LabelledTime[],
  keyOf: (span: LabelledTime) => string,
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
