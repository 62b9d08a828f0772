/** Loads of experts under a Zipf law, by named conventions, and what a capacity leaves over. */
import { at, maxOf, range, sum } from '../../core/math.ts';

/** 1/i^s, normalised. */
export function zipfWeights(experts: number, exponent: number): number[] {
  const raw = range(experts).map((i) => (i + 1) ** -exponent);
  const total = sum(raw);
  return raw.map((weight) => weight / total);
}

/**
 * Share of the rows that each expert gets when a token draws k distinct experts one after the other by these weights.
 * Exact for k = 1 and 2 (P(e) + sum over first f of P(f) P(e)/(1 - P(f))); for more the weights of the expected
 * remainder are used, which keeps every expert below 1/k.
 */
export function shares(weights: readonly number[], k: number): number[] {
  let taken = [...weights];
  if (k >= 2) {
    const ratio = sum(weights.map((p) => p / (1 - p)));
    taken = weights.map((p) => p + p * (ratio - p / (1 - p)));
    for (let draw = 2; draw < k; draw++) {
      const left = taken.map((p, e) => at(weights, e) * Math.max(0, 1 - p));
      const total = sum(left);
      taken = taken.map((p, e) => p + at(left, e) / total);
    }
  }
  const total = sum(taken);
  return taken.map((p) => p / total);
}

/** The hottest group over the mean when experts are dealt to `groups` equally large groups, the largest first to the lightest. */
export function groupedImbalance(loads: readonly number[], groups: number): number {
  const size = loads.length / groups;
  const sums = range(groups).map(() => ({ load: 0, count: 0 }));
  for (const load of [...loads].sort((a, b) => b - a)) {
    const open = sums.filter(({ count }) => count < size);
    const lightest = open.reduce((least, group) => (group.load < least.load ? group : least));
    lightest.load += load;
    lightest.count++;
  }
  return (maxOf(sums.map(({ load }) => load)) * groups) / sum(loads);
}

/**
 * Share of rows beyond `ceil(T k cf / E)` of their expert, each row's expert drawn independently: exact sums over the
 * binomial distribution of every expert's rows. T tokens each take an expert with probability k times its share.
 */
export function overflowShare(
  perExpert: readonly number[],
  tokens: number,
  k: number,
  factor: number,
): number {
  const capacity = Math.ceil((tokens * k * factor) / perExpert.length - 1e-9);
  return sum(perExpert.map((share) => excess(tokens, Math.min(1, k * share), capacity))) / (tokens * k);
}

/** E[(X - c)+] for X binomial(n, p), by the recurrence of its terms in logarithms. */
function excess(n: number, p: number, c: number): number {
  if (p <= 0) return 0;
  if (p >= 1) return Math.max(0, n - c);
  let log = n * Math.log(1 - p);
  const odds = Math.log(p) - Math.log(1 - p);
  let total = 0;
  for (let x = 0; x <= n; x++) {
    if (x > c) total += (x - c) * Math.exp(log);
    log += Math.log((n - x) / (x + 1)) + odds;
  }
  return total;
}
