/** Collectives of NCCL within one node, and the all-reduces that engines have of their own. */
import { NCCL_TABLE } from '../data/nccl.ts';
import { ALL_REDUCE_TABLE } from '../data/all-reduce.ts';
import { hardwareNamed } from '../profiles/named.ts';
import { PROFILES } from '../profiles/list.ts';
import type { Profile } from '../profiles/profile.ts';
import { collectiveTerms } from '../plain.ts';
import { COLLECTIVES, type Collective, type CollectiveQuery } from '../queries.ts';
import { hardwareOf, type Family } from './family.ts';

/** Whether NVLink joins the GPUs of a node. */
const joined = ({ node }: Profile): boolean => node.what.startsWith('NVLink');

/** Links of a node by what they can do: NCCL chooses algorithms by it, and by the number of ranks. */
function fabricOf(system: string): string {
  const hardware = hardwareNamed(system);
  return joined(hardware) ? 'NVLink' : hardware.name;
}

const SYSTEMS = PROFILES.map(({ name }) => name);
const ARCHITECTURES = [...new Set(PROFILES.map(({ architecture }) => architecture))];
const oneOf = (names: readonly string[], name: string): number[] =>
  names.map((one) => (one === name ? 1 : 0));

export const COLLECTIVE: Family<CollectiveQuery> = {
  name: 'collective',
  tables: [NCCL_TABLE, ALL_REDUCE_TABLE],
  group: ({ system, op, lib }) => `${system} ${op} ${lib}`,
  block: ({ system, ranks }) => `${system} ${ranks}`,
  query: ({ op, ranks }, bytes) => {
    const known = COLLECTIVES.find((name) => name === op);
    return known === undefined
      ? undefined
      : { op: known satisfies Collective, bytes, ranks: Number(ranks), nodes: 1 };
  },
  terms: (query, hardware) => {
    const { nodes, steps, nearUs, farUs } = collectiveTerms(query, hardware);
    const terms = { plus: [1, steps], compute: [nearUs], memory: [farUs] };
    // GPUs under one bridge have it to themselves in pairs; more share bridges, the host's memory and what joins its sockets.
    return joined(hardware) ? terms : { ...terms, slows: Math.max(1, query.ranks / nodes / 2) };
  },
  features: ({ ranks }) => [Math.log(ranks)],
  axes: ['ranks'],
  size: ({ bytes }) => Math.log(bytes),
  along: 'bytes',
  start: [8, 2, 1.3, 1.3, 0.05],
  // Three numbers of ranks each, and what slows tells of nothing else.
  refitted: (group) => !joined(hardwareOf(group)),
  kriging: { scales: [1], nugget: 0.005, between: 0.015 },
  // The same code runs on all that NVLink joins: how 4 ranks go from 8 on one of them is how they do on another.
  kin: {
    of: (group) => {
      const [system = '', , lib] = group.split(' ');
      return `${fabricOf(system)} ${lib}`;
    },
    features: (group) => {
      const [system = '', op = ''] = group.split(' ');
      const { architecture } = hardwareNamed(system);
      return [...oneOf(SYSTEMS, system), ...oneOf(ARCHITECTURES, architecture), ...oneOf(COLLECTIVES, op)];
    },
    scales: [...SYSTEMS.map(() => 80), ...ARCHITECTURES.map(() => 10), ...COLLECTIVES.map(() => 40)],
  },
};
