/** All layouts of a number of GPUs: every tuple under every reading that is consistent with it, each set of jobs once. */
import { divisorsOf } from '../../core/math.ts';
import type { ReadingId } from '../../layout/readings.ts';
import { formatLayout, type LayoutSpec } from '../../layout/spec.ts';
import { mixtureLayers, type ModelFacts } from '../models/facts.ts';
import { worldGpus, type Placement } from '../serving/placement.ts';

/** A tuple and how it is read. */
export interface Name {
  readonly reading: ReadingId;
  readonly layout: string;
}

export interface Candidate {
  readonly placement: Placement;
  /** The first is the plainest; the others give every rank the same job. */
  readonly names: readonly [Name, ...Name[]];
}

const READINGS: readonly ReadingId[] = ['folded', 'vllm', 'attention-dp', 'orthogonal', 'expert-tensor'];

/**
 * What a tuple means under a reading (`readingsOf` has the words); undefined where no set of ranks fits it. Copies of an
 * expert within an instance are further slots of one EP group: with L ranks of an instance's stage and EP groups of ep there
 * are L / ep copies, and a rank holds E / ep experts either way.
 */
export function placementOfReading(
  reading: ReadingId,
  { ep, pp, tp, dp }: LayoutSpec,
  experts: number,
  gpusPerNode: number,
): Placement | undefined {
  const instance = (ranks: number, replicas: number): Placement => ({
    attnTp: tp,
    attnDp: ranks / tp,
    pp,
    moeTp: 1,
    ep: ranks,
    replicas,
    gpusPerNode,
    ...(ranks > ep && experts > 0 && { expertSlots: (experts * ranks) / ep }),
  });
  switch (reading) {
    case 'folded':
      return ep % tp === 0 ? instance(ep, dp) : undefined;
    case 'vllm':
      return ep === tp * dp ? instance(ep, 1) : undefined;
    case 'attention-dp': {
      const shared = leastCommonMultiple(tp, ep);
      return (tp * dp) % ep === 0 && (tp * dp) % shared === 0
        ? instance(shared, (tp * dp) / shared)
        : undefined;
    }
    case 'orthogonal':
      return instance(ep * tp, dp);
    case 'expert-tensor':
      return { attnTp: tp, attnDp: ep, pp, moeTp: tp, ep, replicas: dp, gpusPerNode };
  }
}

/** Every layout of exactly so many GPUs that the model can be cut into, in a fixed order. */
export function layoutsOf(model: ModelFacts, gpus: number, gpusPerNode: number): Candidate[] {
  const mixture = mixtureLayers(model) > 0;
  const sizes = divisorsOf(gpus);
  const found = new Map<string, { placement: Placement; names: [Name, ...Name[]] }>();
  for (const reading of READINGS)
    for (const pp of sizes)
      for (const tp of sizes)
        for (const ep of mixture ? sizes : [1])
          for (const dp of sizes) {
            const spec = { ep, pp, tp, dp };
            const placement = placementOfReading(reading, spec, model.experts, gpusPerNode);
            if (placement === undefined || worldGpus(placement) !== gpus) continue;
            if (!suits(placement, spec, model)) continue;
            const name = { reading, layout: formatLayout(spec) };
            const key = keyOf(placement);
            const known = found.get(key);
            if (known === undefined) found.set(key, { placement, names: [name] });
            else known.names.push(name);
          }
  return [...found.values()];
}

/** The same jobs for every rank have the same key. */
export function keyOf({ attnTp, attnDp, pp, moeTp, ep, replicas, expertSlots = 0 }: Placement): string {
  return [attnTp, attnDp, pp, moeTp, ep, replicas, expertSlots].join();
}

/** The rules of `checkLayout`: whole heads, KV heads and experts for every rank, and a layer for every stage. */
function suits({ pp, attnTp, moeTp }: Placement, { ep }: LayoutSpec, model: ModelFacts): boolean {
  const { heads } = model.attention;
  const kvHeads = model.attention.kind === 'heads' ? model.attention.kvHeads : 1;
  if (pp > model.layers || heads % attnTp !== 0) return false;
  if (kvHeads % attnTp !== 0 && attnTp % kvHeads !== 0) return false;
  if (mixtureLayers(model) === 0) return ep === 1 && (attnTp === 1 || moeTp === attnTp);
  return model.experts % ep === 0 && model.expertDim % moeTp === 0;
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
