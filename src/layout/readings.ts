import { ConfigError } from '../core/errors.ts';
import { product } from '../core/math.ts';
import { formatLayout, worldSizeOf, type LayoutSpec, type SpecAxis } from './spec.ts';
import { plural } from './text.ts';

/**
 * A tuple like EP=16, PP=4, TP=2, DP=2 does not say by itself how many ranks there are: it depends on whether ep
 * shares ranks with tp and dp, and on what dp counts. These are the readings in use; Moebius runs 'folded'.
 */
export type ReadingId = 'folded' | 'orthogonal' | 'attention-dp' | 'expert-tensor' | 'vllm';

/** One factor of a view: `size` ranks along `axis`. */
export interface Factor {
  readonly axis: string;
  readonly size: number;
}

export interface Reading {
  readonly id: ReadingId;
  readonly title: string;
  /** The world size in the tuple's axes: 'ep*pp*dp'. */
  readonly formula: string;
  readonly worldSize: number;
  readonly consistent: boolean;
  /** Why no set of ranks fits this reading; null when one does. */
  readonly reason: string | null;
  /** Two factorings of the same world size; null when there is no consistent pair. */
  readonly views: { readonly attention: readonly Factor[]; readonly expert: readonly Factor[] } | null;
  /** What the reading means for who holds what. */
  readonly meaning: string;
  /** What each of the four names stands for in it. */
  readonly names: Readonly<Record<SpecAxis, string>>;
  /** Other consistent readings that give every rank the same job for this tuple. */
  readonly coincidesWith: readonly ReadingId[];
  /** Whether it is consistent with that number of GPUs; null when none was given. */
  readonly matchesGpus: boolean | null;
  /** True for the one that Moebius runs. */
  readonly runs: boolean;
}

type Draft = Pick<Reading, 'id' | 'title' | 'formula' | 'meaning' | 'names'> & {
  readonly attention: readonly Factor[];
  readonly expert: readonly Factor[];
  readonly reason: string | null;
  readonly worldSize: number;
};

/** Every reading of the tuple, the one that runs first. `readingsOf(CARD_LAYOUT)` has worlds 128, 256, 16 (no), 256 and 16 (no). */
export function readingsOf(spec: LayoutSpec, gpus?: number): Reading[] {
  const drafts = [folded(spec), orthogonal(spec), attentionDp(spec), expertTensor(spec), vllm(spec)];
  return drafts.map((draft) => {
    const { attention, expert, ...rest } = draft;
    const consistent = draft.reason === null;
    const same = drafts.filter((other) => other !== draft && sameJobs(draft, other));
    return {
      ...rest,
      consistent,
      views: consistent ? { attention, expert } : null,
      coincidesWith: same.map((other) => other.id),
      matchesGpus: gpus === undefined ? null : consistent && draft.worldSize === gpus,
      runs: draft.id === 'folded',
    };
  });
}

function folded(spec: LayoutSpec): Draft {
  const { ep, pp, tp, dp } = spec;
  return {
    id: 'folded',
    title: 'folded, dp counts replicas',
    formula: 'ep*pp*dp',
    worldSize: worldSizeOf(spec),
    attention: factors({ tp, attnDp: (ep * dp) / tp, pp }),
    expert: factors({ etp: 1, ep, edp: dp, pp }),
    reason: ep % tp === 0 ? null : `tp (${tp}) does not divide ep (${ep}), whose ranks form the TP groups`,
    names: {
      ep: 'ranks of a stage of one replica; they share its experts, and are its TP groups too',
      tp: 'neighbours among the EP ranks that share attention',
      dp: 'full replicas (Megatron: EDP)',
      pp: PP_MEANS,
    },
    meaning: `the ${ep} expert ranks of a stage are also its TP groups of ${tp}; dp=${dp} counts full replicas`,
  };
}

function orthogonal(spec: LayoutSpec): Draft {
  const { ep, pp, tp, dp } = spec;
  return {
    id: 'orthogonal',
    title: 'orthogonal, every axis multiplies',
    formula: 'ep*pp*tp*dp',
    worldSize: ep * pp * tp * dp,
    attention: factors({ tp, attnDp: ep * dp, pp }),
    expert: factors({ etp: 1, ep, edp: tp * dp, pp }),
    reason: null,
    names: {
      ep: 'ranks that share the experts, on top of TP and DP',
      tp: 'ranks that share attention; each repeats the experts',
      dp: 'full replicas',
      pp: PP_MEANS,
    },
    meaning: `an expert is stored whole on ${plural(tp * dp, 'rank')}: in every replica, on each TP peer`,
  };
}

function attentionDp(spec: LayoutSpec): Draft {
  const { ep, pp, tp, dp } = spec;
  const ranks = tp * dp;
  return {
    id: 'attention-dp',
    title: 'folded, dp counts attention groups',
    formula: 'tp*dp*pp',
    worldSize: ranks * pp,
    attention: factors({ tp, attnDp: dp, pp }),
    expert: factors({ etp: 1, ep, edp: ranks / ep, pp }),
    reason: ranks % ep === 0 ? null : `ep (${ep}) does not divide the tp*dp = ${ranks} ranks of a stage`,
    names: {
      ep: 'ranks that share the experts, cut from the tp*dp of a stage',
      tp: 'ranks that share attention',
      dp: 'attention groups of a stage, which serve different sequences (Megatron, SGLang: DP attention)',
      pp: PP_MEANS,
    },
    meaning: `a stage has ${dp} TP groups of ${tp}, and its ${ranks} ranks form EP groups of ${ep}`,
  };
}

function expertTensor(spec: LayoutSpec): Draft {
  const { ep, pp, tp, dp } = spec;
  return {
    id: 'expert-tensor',
    title: 'expert-tensor parallel, etp = tp',
    formula: 'ep*pp*tp*dp',
    worldSize: ep * pp * tp * dp,
    attention: factors({ tp, attnDp: ep * dp, pp }),
    expert: factors({ etp: tp, ep, edp: dp, pp }),
    reason: null,
    names: {
      ep: 'groups that share the experts, each of tp ranks',
      tp: 'ranks that share attention, and cut every expert (Megatron: ETP = TP)',
      dp: 'full replicas',
      pp: PP_MEANS,
    },
    meaning: `an expert is cut into ${plural(tp, 'piece')}, one per TP peer; a piece is on ${plural(dp, 'rank')}`,
  };
}

function vllm(spec: LayoutSpec): Draft {
  const { ep, pp, tp, dp } = spec;
  const ranks = tp * dp;
  return {
    id: 'vllm',
    title: "vLLM's, EP = TP x DP",
    formula: 'tp*dp*pp',
    worldSize: ranks * pp,
    attention: factors({ tp, attnDp: dp, pp }),
    expert: factors({ etp: 1, ep: ranks, edp: 1, pp }),
    reason:
      ep === ranks ? null : `expert parallelism takes all tp*dp = ${ranks} ranks of a stage, not ep (${ep})`,
    names: {
      ep: 'no number but a switch: all tp*dp ranks of a stage share the experts',
      tp: 'ranks that share attention',
      dp: 'attention groups of a stage; they exchange rows, so they are no replicas',
      pp: PP_MEANS,
    },
    meaning: `the ${ranks} ranks of a stage hold each expert once; its ${dp} TP groups serve different sequences`,
  };
}

const PP_MEANS = 'stages, each with a run of the layers';

function factors(sizes: Readonly<Record<string, number>>): Factor[] {
  return Object.entries(sizes).map(([axis, size]) => ({ axis, size }));
}

function sameJobs(a: Draft, b: Draft): boolean {
  const key = (draft: Draft): string => JSON.stringify([draft.attention, draft.expert]);
  return a.reason === null && b.reason === null && key(a) === key(b);
}

/** formatFactors of the card's attention view = 'tp 2 x attnDp 16 x pp 4 = 128' */
export function formatFactors(view: readonly Factor[]): string {
  const text = view.map((factor) => `${factor.axis} ${factor.size}`).join(' x ');
  return `${text} = ${product(view.map((factor) => factor.size))}`;
}

/**
 * Accepts the number of GPUs only when it is the folded world size.
 * @throws ConfigError that says which reading gives the number and why Moebius does not run it.
 */
export function checkGpus(spec: LayoutSpec, gpus: number): void {
  const world = worldSizeOf(spec);
  if (gpus === world) return;
  const { ep, pp, tp, dp } = spec;
  const others = readingsOf(spec, gpus).filter((reading) => reading.matchesGpus === true);
  const replicas = gpus / (ep * pp);
  const fits = Number.isInteger(replicas) && replicas >= 1;
  const remedy = fits ? `, or ${formatLayout({ ...spec, dp: replicas })} for ${gpus}` : '';
  throw new ConfigError(
    `${gpus} GPUs do not match the layout ${formatLayout(spec)}, which has ep*pp*dp = ${ep}*${pp}*${dp} = ${world} ` +
      `ranks: EP is folded over the attention ranks and does not multiply the world; the ${ep} expert ranks of a ` +
      `stage are also its TP groups of ${tp}. ${whoElse(others, gpus)} Try ${world} GPUs${remedy}.`,
  );
}

function whoElse(others: readonly Reading[], gpus: number): string {
  if (others.length === 0) return `No reading of the tuple gives ${gpus}.`;
  const formulas = [...new Set(others.map((reading) => reading.formula))].join(' = ');
  const ids = others.map((reading) => reading.id).join(', ');
  return `${gpus} is ${formulas} (the readings: ${ids}), which Moebius does not run.`;
}
