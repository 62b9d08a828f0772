/**
 * Slots for the choices of the ranks of an expert-parallel group, under a capacity: `admit` of src/routing on the device, in one
 * dispatch of a group and without a read-back.
 */
import { invariant } from '../../core/errors.ts';
import type { ScoreFunction } from '../../core/gating.ts';
import { DEVICE_POLICIES, type DevicePolicy } from '../../core/overflow.ts';
import { admissionWords } from '../../core/plan-sizes.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import { powerOfTwo } from '../variants.ts';

export const admitKernel = defineKernel({
  shader: 'routing/admit.wgsl',
  spec: { WG: 64, MAX_EXPERTS: 256, MAX_SLOTS: 256, POLICY: 0 },
  params: {
    ...{ topK: 'u32', numExperts: 'u32', numSlots: 'u32', turns: 'u32', mostChoices: 'u32' },
    ...{ together: 'u32', sigmoid: 'u32' },
    ...{ firstMember: 'u32', groupSize: 'u32', choiceStride: 'u32', logitStride: 'u32', workStride: 'u32' },
  },
  buffers: {
    ...{ members: 'read', loads_S4: 'read', places: 'read', ids_TK: 'read', logits_TE: 'read' },
    ...{ score_TK: 'readwrite', slot_TK: 'readwrite', work: 'readwrite' },
  },
  grid: (_s, p) => [p.together === 1 ? 1 : p.groupSize, 1, 1],
});

/** P slots, numbered as if every rank had as many as the fullest. */
export interface AdmitShape {
  readonly numExperts: number;
  readonly numSlots: number;
  readonly topK: number;
  readonly policy: DevicePolicy;
  /** Whose rows a capacity is of: each source's, or those of all together. */
  readonly scope: 'rank' | 'global';
  /** What the router makes of logits, by which a next-best expert is weighed. */
  readonly score: ScoreFunction;
  /** Of the table that deals rows to replicas. */
  readonly turns: number;
}

/** The parts of all ranks of a stage, each beginning so many words after the one before. */
export interface RankParts {
  readonly buffer: Bindable;
  readonly stride: number;
}

/** What all ranks of a stage have chosen, and where it goes. */
export interface AdmitTensors {
  readonly members: Bindable;
  /** 4 u32 per rank: tokens, capacity, 1 where the fullest slot's rows are a bound too, 0. See `admissionLoads`. */
  readonly loads: Bindable;
  /** u32, see `placeWords`. */
  readonly places: Bindable;
  /** u32 [T, K]: experts. */
  readonly ids: RankParts;
  /** f32 [T, E]; of the policy next-best. */
  readonly logits?: RankParts | undefined;
  /** f32 [T, K], changed: 0 without a slot, and what a next-best expert weighs. As far apart as the ids. */
  readonly scores: RankParts;
  /** u32 [T, K], written: slots. As far apart as the ids. */
  readonly slots: RankParts;
  /** u32, see `admissionWords`: loads, counts and an account, then scratch. */
  readonly work: RankParts;
}

/** The ranks that are admitted together, by their place in the list of members. */
export interface AdmitGroup {
  readonly firstMember: number;
  readonly groupSize: number;
}

export interface Admit {
  record(commands: CommandList, group: AdmitGroup, tensors: AdmitTensors, mostChoices: number): void;
}

export async function prepareAdmit(gpu: Gpu, shape: AdmitShape): Promise<Admit> {
  const { numExperts, numSlots, topK, policy, scope, score, turns } = shape;
  const kernel = await gpu.kernel(admitKernel, {
    // A CPU adapter wants one subgroup per workgroup, for cheap barriers and short runs of choices to compare.
    WG: gpu.kernelsFor === 'gpu' ? 128 : gpu.rowLanes,
    MAX_EXPERTS: powerOfTwo(Math.max(numExperts, numSlots), 64),
    MAX_SLOTS: powerOfTwo(numSlots, 64),
    POLICY: DEVICE_POLICIES.indexOf(policy),
  });
  return {
    record: (commands, group, t, mostChoices) => {
      const { ids, logits, scores, slots, work } = t;
      invariant(
        ids.stride === scores.stride && ids.stride === slots.stride,
        () => 'ids, scores and slots of ranks lie as far apart',
      );
      invariant(
        work.stride >= admissionWords({ numExperts, numSlots, topK, mostChoices }),
        () => 'the scratch of an admission is too small',
      );
      invariant(
        policy !== 'next-best' || logits !== undefined,
        () => 'next-best experts are found by logits',
      );
      commands.dispatch(
        kernel,
        {
          ...{ topK, numExperts, numSlots, turns, mostChoices, ...group },
          ...{ together: Number(scope === 'global'), sigmoid: Number(score === 'sigmoid') },
          ...{ choiceStride: ids.stride, logitStride: logits?.stride ?? 0, workStride: work.stride },
        },
        {
          ...{ members: t.members, loads_S4: t.loads, places: t.places, ids_TK: ids.buffer },
          ...{ logits_TE: (logits ?? ids).buffer, score_TK: scores.buffer },
          ...{ slot_TK: slots.buffer, work: work.buffer },
        },
      );
    },
  };
}
