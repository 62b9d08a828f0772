/** What gives choices their slots, and the account of it, which is read when somebody asks. */
import { ConfigError } from '../core/errors.ts';
import { at, range, sum } from '../core/math.ts';
import { ACCOUNT_WORDS } from '../core/plan-sizes.ts';
import type { ScoreFunction } from '../core/gating.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type Admit, prepareAdmit } from '../kernels/routing/admit.ts';
import { type BiasUpdate, prepareBiasUpdate } from '../kernels/routing/bias.ts';
import type { Layout } from '../layout/layout.ts';
import type { AdmissionPlan } from '../memory/engine-plan.ts';
import type { RankSizes } from '../memory/rank-sizes.ts';
import type { Admission } from '../routing/admit.ts';
import { placeWords } from '../routing/device-tables.ts';
import type { StageWorkspace } from './stage-workspace.ts';

export interface AdmissionKernels {
  readonly admit: Admit;
  /** Of an engine with a balancer. */
  readonly bias: BiasUpdate | undefined;
}

export async function prepareAdmission(
  gpu: Gpu,
  { numExperts, numSlots, topK }: RankSizes,
  { policy, rule, deal, rate }: AdmissionPlan,
  score: ScoreFunction,
): Promise<AdmissionKernels> {
  const [admit, bias] = await Promise.all([
    prepareAdmit(gpu, {
      ...{ numExperts, numSlots, topK, policy, score, turns: deal.turns },
      scope: policy === 'dropless' ? 'rank' : (rule?.scope ?? 'rank'),
    }),
    rate === undefined ? undefined : prepareBiasUpdate(gpu, numExperts, rate),
  ]);
  return { admit, bias };
}

/** Where the experts lie and how rows are dealt to them, for the kernel. */
export function uploadPlaces(gpu: Gpu, { placement }: Layout, { deal }: AdmissionPlan): GpuBuffer {
  return gpu.upload('tables/places', placeWords(placement, deal));
}

/** What was admitted since an engine was made, over all layers and ranks: (token, k) pairs, and sums of router scores. */
export type RoutingAccount = Pick<Admission, 'rows' | 'mass'>;

/** @throws ConfigError when the router gave a score that is no finite number: the token is named by its place in its rank's batch. */
export async function readAccount(
  gpu: Gpu,
  z: RankSizes,
  stages: readonly StageWorkspace[],
): Promise<RoutingAccount> {
  const first = z.numExperts + 2 * z.numSlots;
  const found: { words: Uint32Array; masses: Float32Array; stage: number; rank: number }[] = [];
  const arrays = stages.map((w) => w.symmetric('admission'));
  // All at once: the engine may be destroyed before the first has come.
  const read = await Promise.all(
    arrays.map(({ buffer, numParts, stride }) => gpu.read(buffer, [numParts * stride], 'u32')),
  );
  for (const [stage, { data }] of read.entries()) {
    const array = at(arrays, stage);
    for (const rank of range(z.numRanks)) {
      const words = Uint32Array.from(data.subarray(rank * array.stride + first).subarray(0, ACCOUNT_WORDS));
      found.push({ words, masses: new Float32Array(words.buffer), stage, rank });
    }
  }
  const bad = found.find(({ words }) => at(words, 3) > 0);
  if (bad !== undefined) {
    throw new ConfigError(
      `the router gave token ${at(bad.words, 3) - 1} of rank ${bad.rank} of stage ${bad.stage} a score that is no finite number: ` +
        `its logits have a NaN or an infinity. Look at the weights and the input of that token.`,
    );
  }
  const total = (word: number): number => sum(found.map(({ words }) => at(words, word)));
  const [offered, kept, moved] = [total(0), total(1), total(2)];
  return {
    rows: { offered, kept, dropped: offered - kept, moved },
    mass: {
      offered: sum(found.map(({ masses }) => at(masses, 4))),
      lost: sum(found.map(({ masses }) => at(masses, 5))),
    },
  };
}
