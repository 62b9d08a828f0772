/**
 * DeepSeek's expert-parallelism load balancer, re-implemented from its description and held to its outputs
 * (github deepseek-ai/EPLB d52c72d): the most loaded expert is given the next replica, then instances are packed onto
 * GPUs, heaviest first, each to the least loaded that has room. Sums are f32, as there.
 */
import { ConfigError } from '../../core/errors.ts';
import { requireFields, requireGiven } from '../../core/given.ts';
import { at, range } from '../../core/math.ts';

/** What EPLB places on, all whole numbers. */
export interface EplbSizes {
  /** Slots of all GPUs: `num_replicas` there. */
  readonly slots: number;
  /** Groups of experts that stay on one node, as group-limited routing wants it. */
  readonly groups: number;
  readonly nodes: number;
  readonly gpus: number;
}

/** The experts of each GPU's slots. */
export type SlotsOfGpus = readonly (readonly number[])[];

const f32 = Math.fround;

/**
 * Hierarchical where the groups can be dealt to the nodes equally: groups to nodes, replicas within a node, instances to
 * its GPUs. Global otherwise: one node, one group.
 * @param load of each expert. @throws ConfigError for sizes that do not divide as they must.
 */
export function eplb(load: readonly number[], sizes: EplbSizes): number[][] {
  requireFields('What EPLB places on', sizes, {
    slots: 'number',
    groups: 'number',
    nodes: 'number',
    gpus: 'number',
  });
  checkEplb(load, sizes);
  const { groups, nodes } = sizes;
  return groups % nodes === 0 ? packed(load, sizes) : packed(load, { ...sizes, groups: 1, nodes: 1 });
}

/** EPLB without regard to groups and nodes. @param load of each expert. @throws ConfigError for sizes that do not divide. */
export function eplbGlobal(load: readonly number[], slots: number, gpus: number): number[][] {
  const sizes = { slots, gpus, groups: 1, nodes: 1 };
  checkEplb(load, sizes);
  return packed(load, sizes);
}

function checkEplb(load: readonly number[], { slots, groups, nodes, gpus }: EplbSizes): void {
  requireGiven('The load', load, 'list');
  const numExperts = load.length;
  const wrong = load.findIndex((value) => !(value >= 0 && value < Infinity));
  if (wrong !== -1) {
    throw new ConfigError(
      `the load of expert ${wrong} is ${at(load, wrong)}; loads must be finite and at least 0.`,
    );
  }
  const rules: [boolean, string][] = [
    [
      numExperts >= 1 && [slots, groups, nodes, gpus].every((n) => Number.isInteger(n) && n >= 1),
      'all must be whole numbers of at least 1',
    ],
    [slots >= numExperts, 'there must be at least as many slots as experts'],
    [slots % gpus === 0, 'slots must be a multiple of GPUs'],
    [gpus % nodes === 0, 'GPUs must be a multiple of nodes'],
    [numExperts % groups === 0, 'experts must be a multiple of groups'],
  ];
  const broken = rules.find(([holds]) => !holds);
  if (broken === undefined) return;
  throw new ConfigError(
    `EPLB cannot place ${numExperts} experts in ${groups} groups on ${slots} slots of ${gpus} GPUs in ${nodes} nodes: ${broken[1]}.`,
  );
}

function packed(load: readonly number[], { slots, groups, nodes, gpus }: EplbSizes): number[][] {
  const groupSize = load.length / groups;
  const ofGroups = range(groups).map((g) =>
    load.slice(g * groupSize, (g + 1) * groupSize).reduce((total, value) => f32(total + f32(value)), 0),
  );
  return pack(ofGroups, nodes).flatMap((ownGroups) => {
    const experts = ownGroups.flatMap((g) => range(groupSize).map((i) => g * groupSize + i));
    const { instances, copies } = replicate(
      experts.map((e) => f32(at(load, e))),
      slots / nodes,
    );
    const shares = instances.map((i) => f32(f32(at(load, at(experts, i))) / at(copies, i)));
    return pack(shares, gpus / nodes).map((own) => own.map((p) => at(experts, at(instances, p))));
  });
}

/** Items of each pack, in the order in which they came to it; packs hold equally many. */
function pack(weights: readonly number[], packs: number): number[][] {
  const most = weights.length / packs;
  if (most === 1) return weights.map((_, i) => [i]);
  const items = range(packs).map((): number[] => []);
  const total = range(packs).map(() => 0);
  const heaviestFirst = range(weights.length).sort((a, b) => at(weights, b) - at(weights, a));
  for (const item of heaviestFirst) {
    let best = -1;
    for (let p = 0; p < packs; p++) {
      if (at(items, p).length < most && (best === -1 || at(total, p) < at(total, best))) best = p;
    }
    at(items, best).push(item);
    total[best] = f32(at(total, best) + at(weights, item));
  }
  return items;
}

/** Which expert each instance is of, and how many instances each has. */
function replicate(load: readonly number[], slots: number): { instances: number[]; copies: number[] } {
  const instances = range(load.length);
  const copies = load.map(() => 1);
  while (instances.length < slots) {
    let fullest = 0;
    const share = (e: number): number => f32(at(load, e) / at(copies, e));
    for (let e = 1; e < load.length; e++) if (share(e) > share(fullest)) fullest = e;
    instances.push(fullest);
    copies[fullest] = at(copies, fullest) + 1;
  }
  return { instances, copies };
}
