/** The placement that a row of a table leaves partly open. */
import { ConfigError } from '../../core/errors.ts';
import type { Profile } from '../../hardware/profiles/profile.ts';
import { mixtureLayers, type ModelFacts } from '../models/facts.ts';
import { instanceGpus, type Placement } from '../serving/placement.ts';

export interface GivenPlacement {
  readonly gpus: number | undefined;
  readonly attnTp: number | undefined;
  readonly attnDp: number | undefined;
  readonly pp: number | undefined;
  readonly moeTp: number | undefined;
  readonly ep: number | undefined;
  readonly expertSlots: number | undefined;
}

/** GPUs that share one attention block at most where nobody says: those of a board. */
const MOST_TP = 8;
/** GPUs of an instance that is derived from memory alone. A guess: the largest published model takes fewer. */
const MOST_INSTANCE = 64;

/**
 * What is not given follows from the rest: a stage's ranks are the same in both views, and GPUs beyond one instance are
 * replicas. Where nothing tells the ranks of an instance it has as many as a board, or as the model needs to fit.
 * @param fits whether the model lies in the memory of such an instance.
 * @throws ConfigError for GPUs that are no multiple of an instance.
 */
export function derivedPlacement(
  model: ModelFacts,
  hardware: Profile,
  given: GivenPlacement,
  fits: (placement: Placement) => boolean,
): Placement {
  const pp = given.pp ?? 1;
  const mixture = mixtureLayers(model) > 0;
  const byExperts = mixture && given.ep !== undefined ? given.ep * (given.moeTp ?? 1) : undefined;
  const of = (attnTp: number, attnDp: number): Placement => {
    const ranks = attnTp * attnDp;
    const ep = mixture
      ? (given.ep ?? (given.moeTp === undefined ? (attnDp > 1 ? ranks : 1) : ranks / given.moeTp))
      : 1;
    const moeTp = mixture ? (given.moeTp ?? ranks / ep) : attnTp;
    const placement = { attnTp, attnDp, pp, moeTp, ep, replicas: 1, gpusPerNode: hardware.node.gpus };
    const { expertSlots } = given;
    const instance = instanceGpus(placement);
    const replicas = (given.gpus ?? instance) / instance;
    return { ...placement, replicas, ...(expertSlots !== undefined && { expertSlots }) };
  };
  const placement = of(
    ...attentionOf(model, hardware, given, { pp, byExperts, fits: (...a) => fits(of(...a)) }),
  );
  const { attnTp, attnDp, replicas } = placement;
  if (!Number.isInteger(replicas)) {
    throw new ConfigError(
      `${given.gpus} GPUs are no multiple of attn_tp ${attnTp} x attn_dp ${attnDp} x pp ${pp} = ${instanceGpus(placement)}, the GPUs of an instance.`,
    );
  }
  return placement;
}

interface Rest {
  readonly pp: number;
  readonly byExperts: number | undefined;
  readonly fits: (attnTp: number, attnDp: number) => boolean;
}

function attentionOf(
  { attention: { heads } }: ModelFacts,
  { node }: Profile,
  { gpus, attnTp, attnDp }: GivenPlacement,
  { pp, byExperts, fits }: Rest,
): [number, number] {
  const whole = (value: number): number => (Number.isInteger(value) ? value : 1);
  if (attnTp !== undefined) {
    if (attnDp !== undefined) return [attnTp, attnDp];
    if (byExperts !== undefined) return [attnTp, whole(byExperts / attnTp)];
    // Alone where the model fits so, else the fewest groups side by side that have room for it.
    const groups = (gpus ?? 0) / (pp * attnTp);
    for (let dp = 1; dp <= Math.min(groups, MOST_INSTANCE); dp++)
      if (groups % dp === 0 && fits(attnTp, dp)) return [attnTp, dp];
    return [attnTp, 1];
  }
  if (attnDp !== undefined) return [byExperts === undefined ? 1 : whole(byExperts / attnDp), attnDp];
  if (byExperts !== undefined)
    return byExperts <= node.gpus && heads % byExperts === 0 ? [byExperts, 1] : [1, byExperts];
  if (gpus === undefined) {
    for (let tp = 1; tp <= MOST_INSTANCE; tp *= 2) if (heads % tp === 0 && fits(tp, 1)) return [tp, 1];
    return [Math.min(MOST_TP, node.gpus), 1];
  }
  const stage = Math.max(1, Math.floor(gpus / pp));
  const ways = Array.from({ length: Math.min(stage, heads) }, (_, i) => i + 1).filter(
    (tp) => stage % tp === 0 && heads % tp === 0,
  );
  const board = ways.filter((tp) => tp <= Math.min(MOST_TP, node.gpus)).at(-1) ?? 1;
  return [ways.find((tp) => tp >= board && fits(tp, 1)) ?? board, 1];
}
