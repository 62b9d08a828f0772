/**
 * Many rows measured in rounds: in each, every row has one short burst, in an order drawn anew, so that what changes on
 * the machine within minutes meets all rows alike. Samples of a burst stand and fall together, so a row has one value
 * per round, and the round is the unit of its statistics.
 */
import { messageOf } from '../core/errors.ts';
import { at, range } from '../core/math.ts';
import { seededRandom, shuffled } from '../core/random.ts';
import { median } from './statistics.ts';

export interface Entrant {
  /** One burst: ns of one run by each of its windows. None when all were void. A burst that throws is the row's last. */
  burst(): Promise<readonly number[]>;
}

export interface RoundsOptions {
  /** Of the orders. */
  readonly seed: number;
  /** No round begins after so many. */
  readonly most: number;
  /** Up to so many rounds are begun until `lastNs`, further ones only if they are likely to end before `endNs`. */
  readonly least: number;
  readonly endNs: number;
  /** Not even a burst begins after it. */
  readonly lastNs: number;
  readonly now: () => number;
  /** A fixed piece of work, timed before the first burst and after each. Undefined when its reading was void. */
  readonly canary?: (() => Promise<number | undefined>) | undefined;
  readonly say?: (text: string) => void;
  /** Told what there is after each round, and before all of it ends with an error. */
  readonly onRound?: (soFar: Rounds) => void;
  /** Called when a burst has thrown: what it throws itself ends all, else only the row has left. */
  readonly requireUsable?: () => void;
}

export interface Burst {
  readonly round: number;
  /** The median of its windows. */
  readonly ns: number;
  readonly windowsNs: readonly number[];
  /** The canary's reading right before it, as an index of all readings; the one right after is the next. */
  readonly reading: number;
}

export interface RoundTime {
  readonly beginNs: number;
  readonly endNs: number;
}

export interface Rounds {
  /** Rounds that came to their end. */
  readonly count: number;
  /** Which entrants had their bursts one after the other, by round, with one that did not come to its end. */
  readonly order: readonly (readonly number[])[];
  /** By round, on the clock of `now`. */
  readonly times: readonly RoundTime[];
  /** By entrant. */
  readonly bursts: readonly (readonly Burst[])[];
  /** Why an entrant has left, by entrant. */
  readonly failures: readonly (string | undefined)[];
  /** All of the canary, in order. */
  readonly readings: readonly (number | undefined)[];
}

export async function runRounds(entrants: readonly Entrant[], options: RoundsOptions): Promise<Rounds> {
  const { least, most, endNs, lastNs, now, canary, say = () => undefined } = options;
  const { onRound = () => undefined, requireUsable = () => undefined } = options;
  const random = seededRandom(options.seed);
  const bursts = entrants.map((): Burst[] => []);
  const failures = entrants.map((): string | undefined => undefined);
  const readings: (number | undefined)[] = [];
  const order: number[][] = [];
  const times: RoundTime[] = [];
  const read = async (): Promise<void> => void (canary && readings.push(await canary()));
  let count = 0;
  const soFar = (): Rounds => ({ count, order, times, bursts, failures, readings });
  try {
    await read();
    for (let lastRoundNs = 0; count < most; count++) {
      const began = now();
      const mayBegin = count < least ? began < lastNs : began + lastRoundNs <= endNs;
      if (!mayBegin || failures.every((reason) => reason !== undefined)) break;
      say(`round ${count + 1}`);
      const own: number[] = [];
      order.push(own);
      const endRound = (): void => void times.push({ beginNs: began, endNs: now() });
      try {
        for (const i of shuffled(range(entrants.length), random)) {
          if (failures[i] !== undefined) continue;
          if (now() >= lastNs) return soFar();
          own.push(i);
          const reading = readings.length - 1;
          try {
            const windowsNs = await at(entrants, i).burst();
            if (windowsNs.length > 0) {
              at(bursts, i).push({ round: count, ns: median(windowsNs), windowsNs, reading });
            }
          } catch (error) {
            requireUsable();
            failures[i] = messageOf(error);
          }
          await read();
        }
      } finally {
        endRound();
      }
      lastRoundNs = now() - began;
      onRound({ ...soFar(), count: count + 1 });
    }
    return soFar();
  } catch (error) {
    onRound(soFar());
    throw error;
  }
}
