/** What a router chose: T tokens of one source rank, K of E experts each. */
import { ConfigError } from '../core/errors.ts';
import { requireFields } from '../core/given.ts';
import { at, sum } from '../core/math.ts';
import { DROPPED } from './dispatch-plan.ts';

/** The experts that each token chose, and what it weighs them by. */
export interface Choices {
  readonly numExperts: number;
  readonly topK: number;
  /** [T, K]: experts, none twice in a row; `DROPPED` where there is none. */
  readonly ids_TK: ArrayLike<number>;
  /** [T, K]: what the combine weighs each by, at least 0. */
  readonly scores_TK: ArrayLike<number>;
  /** [T, E]: the router's scores of all experts, by which a next-best one is found. */
  readonly all_TE?: ArrayLike<number> | undefined;
}

export function tokensOf({ ids_TK, topK }: Choices): number {
  return ids_TK.length / topK;
}

/**
 * @param source named in messages.
 * @throws ConfigError for sizes that do not fit, an id that is no expert or comes twice in a token, or a score that is
 * not a finite number of at least 0: the token's index is named.
 */
export function checkChoices(choices: Choices, source = 0): void {
  requireFields('A source', choices, {
    numExperts: 'number',
    topK: 'number',
    ids_TK: 'list',
    scores_TK: 'list',
    all_TE: 'list?',
  });
  const { numExperts, topK, ids_TK, scores_TK, all_TE } = choices;
  if (!(Number.isInteger(topK) && topK >= 1 && topK <= numExperts)) {
    throw new ConfigError(`topK (${topK}) must be from 1 to the number of experts (${numExperts}).`);
  }
  const tokens = tokensOf(choices);
  if (!Number.isInteger(tokens) || scores_TK.length !== ids_TK.length) {
    throw new ConfigError(
      `source ${source} has ${ids_TK.length} ids and ${scores_TK.length} scores; there must be ${topK} of each a token.`,
    );
  }
  if (all_TE !== undefined && all_TE.length !== tokens * numExperts) {
    throw new ConfigError(
      `source ${source} has ${all_TE.length} scores of all experts for ${tokens} tokens; ${numExperts} a token are needed.`,
    );
  }
  for (let token = 0; token < tokens; token++) checkToken(choices, token, source);
}

function checkToken(
  { numExperts, topK, ids_TK, scores_TK, all_TE }: Choices,
  token: number,
  source: number,
): void {
  const where = `token ${token} of source ${source}`;
  for (let k = 0; k < topK; k++) {
    const id = at(ids_TK, token * topK + k);
    if (id === DROPPED) continue;
    if (!(Number.isInteger(id) && id >= 0 && id < numExperts)) {
      throw new ConfigError(`${where} chose expert ${id}; ids must be in [0, ${numExperts}).`);
    }
    for (let other = 0; other < k; other++) {
      if (at(ids_TK, token * topK + other) !== id) continue;
      throw new ConfigError(`${where} chose expert ${id} twice; a token's experts must differ.`);
    }
    requireScore(at(scores_TK, token * topK + k), where);
  }
  for (let e = 0; all_TE !== undefined && e < numExperts; e++)
    requireScore(at(all_TE, token * numExperts + e), where);
}

function requireScore(score: number, where: string): void {
  if (score >= 0 && score < Infinity) return;
  throw new ConfigError(`${where} has the router score ${score}; it must be a finite number of at least 0.`);
}

/** The token's experts that it did not choose, best first; equal ones by their ids. */
export function nextBest({ numExperts, topK, ids_TK, all_TE }: Choices, token: number): number[] {
  if (all_TE === undefined) return [];
  const rest: number[] = [];
  for (let e = 0; e < numExperts; e++) {
    let chosen = false;
    for (let k = 0; k < topK; k++) chosen ||= at(ids_TK, token * topK + k) === e;
    if (!chosen) rest.push(e);
  }
  const score = (e: number): number => at(all_TE, token * numExperts + e);
  return rest.sort((a, b) => score(b) - score(a) || a - b);
}

/**
 * What a token's weights are beside the router's scores: Σ weights / Σ scores of its choices, as renormalising or a
 * scaling factor left it. A next-best expert is weighed by its score times this.
 */
export function weightPerScore(
  { numExperts, topK, ids_TK, scores_TK, all_TE }: Choices,
  token: number,
): number {
  if (all_TE === undefined) return 0;
  const weights: number[] = [];
  const scores: number[] = [];
  for (let i = token * topK; i < (token + 1) * topK; i++) {
    const id = at(ids_TK, i);
    if (id === DROPPED) continue;
    weights.push(at(scores_TK, i));
    scores.push(at(all_TE, token * numExperts + id));
  }
  const total = sum(scores);
  return total > 0 ? sum(weights) / total : 0;
}
