/** Rows that found no room ask elsewhere, in rounds: all ask at once, and the asked take the lowest positions. */
import { at } from '../core/math.ts';
import { type Choices, nextBest, weightPerScore } from './choices.ts';
import type { ExpertPlacement } from './placement.ts';

export interface Row {
  readonly source: number;
  /** token * K + k */
  readonly entry: number;
  readonly token: number;
  /** Dealt to. */
  readonly slot: number;
  readonly score: number;
}

/** Takes one row's room of a slot, where it has any. */
type Take = (slot: number) => boolean;
type Place = (row: Row, slot: number, score: number) => void;

/** Of a round: what each row asks for, in the order of positions; undefined where there is nothing more to ask. */
type Ask = (row: Row) => { readonly slot: number; readonly score: number } | undefined;

function inRounds(rows: readonly Row[], rounds: () => Ask, take: Take, place: Place): void {
  let left = rows;
  while (left.length > 0) {
    const ask = rounds();
    // Who asks first is served first, so serving while asking is the same as asking at once.
    left = left.filter((row) => {
      const wanted = ask(row);
      if (wanted === undefined) return false;
      if (!take(wanted.slot)) return true;
      place(row, wanted.slot, wanted.score);
      return false;
    });
  }
}

export function askReplicas(
  rows: readonly Row[],
  placement: ExpertPlacement,
  take: Take,
  place: Place,
): void {
  const { expertOfSlot, slotsOfExpert } = placement;
  let round = 0;
  const ask = (): Ask => {
    round += 1;
    return (row) => {
      const replicas = at(slotsOfExpert, at(expertOfSlot, row.slot));
      if (round >= replicas.length) return undefined;
      const slot = at(replicas, (replicas.indexOf(row.slot) + round) % replicas.length);
      return { slot, score: row.score };
    };
  };
  inRounds(rows, ask, take, place);
}

/** Of the replicas of the expert that is asked it is number `entry` modulo how many there are. */
export function askNextBest(
  rows: readonly Row[],
  sources: readonly Choices[],
  { slotsOfExpert }: ExpertPlacement,
  take: Take,
  place: Place,
): void {
  interface Token {
    readonly rest: readonly number[];
    readonly weight: number;
    asked: number;
  }
  const tokens = new Map<string, Token>();
  const tokenOf = ({ source, token }: Row): Token => {
    const key = `${source} ${token}`;
    const choices = at(sources, source);
    const known = tokens.get(key) ?? {
      rest: nextBest(choices, token),
      weight: weightPerScore(choices, token),
      asked: 0,
    };
    tokens.set(key, known);
    return known;
  };
  const ask = (): Ask => (row) => {
    const token = tokenOf(row);
    const expert = token.rest[token.asked];
    if (expert === undefined) return undefined;
    token.asked += 1;
    const replicas = at(slotsOfExpert, expert);
    const { all_TE = [], numExperts } = at(sources, row.source);
    const score = at(all_TE, row.token * numExperts + expert) * token.weight;
    return { slot: at(replicas, row.entry % replicas.length), score };
  };
  inRounds(rows, ask, take, place);
}
