/** Where a model lies: how one instance cuts attention and experts, and how many instances there are. */
import { ConfigError } from '../../core/errors.ts';
import { ceilDiv } from '../../core/math.ts';
import type { LayoutSpec } from '../../layout/spec.ts';
import { mixtureLayers, type ModelFacts } from '../models/facts.ts';

/** Two views of the ranks of a stage: attnTp * attnDp = moeTp * ep. Replicas share nothing. */
export interface Placement {
  readonly attnTp: number;
  readonly attnDp: number;
  readonly pp: number;
  readonly moeTp: number;
  readonly ep: number;
  readonly replicas: number;
  readonly gpusPerNode: number;
  /** Experts that are stored, copies of hot ones included; the model's own number when absent. */
  readonly expertSlots?: number;
}

/** GPUs of one instance. */
export const instanceGpus = ({ attnTp, attnDp, pp }: Placement): number => attnTp * attnDp * pp;

/** GPUs of a stage of an instance. */
export const stageGpus = ({ attnTp, attnDp }: Placement): number => attnTp * attnDp;

/** All. */
export const worldGpus = (placement: Placement): number => instanceGpus(placement) * placement.replicas;

/** Nodes that so many neighbouring GPUs are spread over. */
export const nodesOf = (gpus: number, { gpusPerNode }: Placement): number => ceilDiv(gpus, gpusPerNode);

/** A folded layout: the EP ranks of a stage form its TP groups, and dp counts replicas. */
export function placementOfLayout({ ep, pp, tp, dp }: LayoutSpec, gpusPerNode: number): Placement {
  if (ep % tp !== 0 && ep !== 1) {
    throw new ConfigError(
      `tp (${tp}) does not divide ep (${ep}), whose ranks form the TP groups. Choose a tp that divides it, or ep=1.`,
    );
  }
  // Without expert parallelism the experts, or the dense layers, are cut as attention is.
  if (ep === 1) return { attnTp: tp, attnDp: 1, pp, moeTp: tp, ep: 1, replicas: dp, gpusPerNode };
  return { attnTp: tp, attnDp: ep / tp, pp, moeTp: 1, ep, replicas: dp, gpusPerNode };
}

/**
 * What a placement must satisfy for a model.
 * @throws ConfigError naming the two numbers that do not fit.
 */
export function checkPlacement(placement: Placement, model: ModelFacts): void {
  const { attnTp, attnDp, pp, moeTp, ep, replicas, gpusPerNode, expertSlots } = placement;
  for (const [name, value] of Object.entries({ attnTp, attnDp, pp, moeTp, ep, replicas, gpusPerNode })) {
    if (!(Number.isInteger(value) && value >= 1 && value <= 65536)) {
      throw new ConfigError(`${name} (${value}) must be a whole number from 1 to 65536.`);
    }
  }
  const refuse = (text: string): never => {
    throw new ConfigError(text);
  };
  const { heads } = model.attention;
  if (heads % attnTp !== 0)
    refuse(`attention TP ${attnTp} does not divide the ${heads} heads of ${model.name}.`);
  if (pp > model.layers) refuse(`pp ${pp} is more than the ${model.layers} layers of ${model.name}.`);
  if (mixtureLayers(model) === 0) {
    if (ep > 1) refuse(`${model.name} is dense: there are no experts for ep ${ep}.`);
    return;
  }
  if (moeTp * ep !== attnTp * attnDp) {
    refuse(
      `moe_tp ${moeTp} x ep ${ep} = ${moeTp * ep} is not attn_tp ${attnTp} x attn_dp ${attnDp} = ${attnTp * attnDp}: ` +
        `the ranks of a stage are the same in both views.`,
    );
  }
  const slots = expertSlots ?? model.experts;
  if (slots % ep !== 0 && slots < ep) refuse(`ep ${ep} is more than the ${slots} experts of ${model.name}.`);
  if (slots < model.experts)
    refuse(`expert_slots ${slots} is fewer than the ${model.experts} experts of ${model.name}.`);
}
