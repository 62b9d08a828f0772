/** Loads of experts under a Zipf law, by named conventions, and what a capacity leaves over. */
import { gammaln } from 'simple-statistics';
import { maxOf, range, sum } from '../../core/math.ts';

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
  let taken = Float64Array.from(weights);
  if (k >= 2) {
    const ratio = sum(weights.map((p) => p / (1 - p)));
    taken = taken.map((p) => p + p * (ratio - p / (1 - p)));
    // Solvers ask for thousands of experts and as many draws, so this loop makes no arrays.
    const left = new Float64Array(weights.length);
    for (let draw = 2; draw < k; draw++) {
      let total = 0;
      for (let e = 0; e < left.length; e++) {
        left[e] = (weights[e] ?? 0) * Math.max(0, 1 - (taken[e] ?? 0));
        total += left[e] ?? 0;
      }
      for (let e = 0; e < left.length; e++) taken[e] = (taken[e] ?? 0) + (left[e] ?? 0) / total;
    }
  }
  const total = sum(taken);
  return Array.from(taken, (p) => p / total);
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

/** Of a sum so far; smaller terms change no digit of it. */
const NEGLIGIBLE = 1e-18;

/** E[(X - c)+] for X binomial(n, p): its terms from the likeliest beyond c on, up and down, by their ratio. */
function excess(n: number, p: number, c: number): number {
  if (p <= 0 || c >= n) return 0;
  if (p >= 1) return n - c;
  const odds = p / (1 - p);
  const start = Math.max(c + 1, Math.floor((n + 1) * p));
  const ways = gammaln(n + 1) - gammaln(start + 1) - gammaln(n - start + 1);
  const likeliest = Math.exp(ways + start * Math.log(p) + (n - start) * Math.log1p(-p));
  let total = 0;
  for (let x = start, chance = likeliest; x <= n; x++) {
    const term = (x - c) * chance;
    total += term;
    if (term <= NEGLIGIBLE * total) break;
    chance *= ((n - x) / (x + 1)) * odds;
  }
  for (let x = start - 1, chance = likeliest; x > c; x--) {
    chance *= (x + 1) / ((n - x) * odds);
    const term = (x - c) * chance;
    total += term;
    if (term <= NEGLIGIBLE * total) break;
  }
  return total;
}
