/** Measured deployments, and how each was predicted without its own kind: what `bench/fit/serving` wrote down. */
import { at } from '../../core/math.ts';
import { LEFT_OUT_ROWS } from './left-out.ts';

/** ms. */
export interface Pair {
  readonly tpotMs: number;
  readonly ttftMs: number;
}

export interface LeftOutRow {
  readonly model: string;
  readonly hardware: string;
  readonly framework: string;
  readonly precision: string;
  /** Of the framework, where the table tells. */
  readonly version: string;
  readonly isl: number;
  readonly osl: number;
  readonly concurrency: number;
  readonly gpus: number;
  /** Attention TP x DP, experts TP x EP. */
  readonly layout: string;
  readonly mixture: boolean;
  readonly measured: Pair;
  /** By the figures that ship, which have seen it. */
  readonly seen: Pair;
  /** By figures that no row of its model, or of its hardware, went into. */
  readonly withoutModel: Pair;
  readonly withoutHardware: Pair;
  /** By figures that no row of its model on its hardware went into. */
  readonly withoutFamily: Pair;
  /** As that, and nobody said what framework it is; NaN where such a server has no room for the model. */
  readonly unnamed: Pair;
  /** Share of TTFT that is queueing. */
  readonly queueing: number;
  readonly unnamedQueueing: number;
}

let known: readonly LeftOutRow[] | undefined;

/** All of them, read once. */
export function leftOutRows(): readonly LeftOutRow[] {
  known ??= LEFT_OUT_ROWS.split(';').map(rowOf);
  return known;
}

function rowOf(line: string): LeftOutRow {
  const [head = '', ...rest] = line.split('|');
  const names = head.split(' ');
  const [model = '', hardware = '', framework = '', precision = '', version = ''] = names;
  const numbers = names.slice(5).map(Number);
  const [isl = NaN, osl = NaN, concurrency = NaN, gpus = NaN, attnTp = 1, attnDp = 1, moeTp = 1, ep = 1] =
    numbers;
  const pair = (index: number): Pair => {
    const [tpotMs = NaN, ttftMs = NaN] = at(rest, index).split(' ').map(Number);
    return { tpotMs, ttftMs };
  };
  const mixture = numbers.at(-1) === 1;
  const shares = at(rest, 6).split(' ').map(Number);
  return {
    ...{ model, hardware, framework, precision, version, isl, osl, concurrency, gpus, mixture },
    layout: mixture ? `tp${attnTp} dp${attnDp} moe_tp${moeTp} ep${ep}` : `tp${attnTp} dp${attnDp}`,
    ...{ measured: pair(0), seen: pair(1), withoutModel: pair(2), withoutHardware: pair(3) },
    ...{ withoutFamily: pair(4), unnamed: pair(5) },
    ...{ queueing: shares[0] ?? NaN, unnamedQueueing: shares[1] ?? NaN },
  };
}

/** Output tokens a second of one GPU in a closed loop: concurrency x n tokens in a request's time. */
export function rateOf({ osl, concurrency, gpus }: LeftOutRow, { tpotMs, ttftMs }: Pair): number {
  return (1000 * concurrency * osl) / (ttftMs + tpotMs * (osl - 1)) / gpus;
}
