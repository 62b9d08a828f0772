import { ConfigError } from '../core/errors.ts';
import { divisorsOf } from '../core/math.ts';
import type { MoeConfig } from '../model/config.ts';
import { checkSizes, type LayoutSpec } from './spec.ts';

/**
 * What a layout must satisfy before a rank can own anything. Each rule has one error: the value, the rule, and
 * a remedy that satisfies all the rules.
 * @param equalRuns false where a placement says which rank holds which experts, so that they need not divide.
 * @throws ConfigError
 */
export function checkLayout(spec: LayoutSpec, config: MoeConfig, equalRuns = true): void {
  checkSizes(spec);
  checkModelHeads(config);
  checkTpInEp(spec, config);
  if (equalRuns) checkExperts(spec, config);
  checkHeads(spec, config);
  checkStages(spec, config);
}

function checkModelHeads({ name, numHeads, numKvHeads }: MoeConfig): void {
  if (numHeads % numKvHeads === 0) return;
  throw new ConfigError(
    `numHeads (${numHeads}) of ${name} is not a multiple of numKvHeads (${numKvHeads}); every KV head must ` +
      `serve equally many query heads. Try numKvHeads=${nearest(divisorsOf(numHeads), numKvHeads)}.`,
  );
}

function checkTpInEp(spec: LayoutSpec, config: MoeConfig): void {
  const { ep, tp } = spec;
  if (ep % tp === 0) return;
  throw new ConfigError(
    `tp (${tp}) does not divide ep (${ep}); with folding the TP groups are formed among the ep ranks of a ` +
      `replica's stage, ep/tp of them. ${remedy(spec, config)}`,
  );
}

function checkExperts(spec: LayoutSpec, config: MoeConfig): void {
  const { name, numExperts } = config;
  if (numExperts % spec.ep === 0) return;
  throw new ConfigError(
    `ep (${spec.ep}) does not divide numExperts (${numExperts}) of ${name}; ranks must own equal shares of the ` +
      `experts. ${remedy(spec, config)}`,
  );
}

function checkHeads(spec: LayoutSpec, config: MoeConfig): void {
  const { tp } = spec;
  const { name, numHeads, numKvHeads } = config;
  if (numHeads % tp !== 0) {
    throw new ConfigError(
      `tp (${tp}) does not divide numHeads (${numHeads}) of ${name}; the ranks of a TP group must own equally ` +
        `many query heads. ${remedy(spec, config)}`,
    );
  }
  if (!headsSuit(tp, config)) {
    throw new ConfigError(
      `tp (${tp}) and numKvHeads (${numKvHeads}) of ${name} do not divide each other; a rank must own whole KV ` +
        `heads (numKvHeads/tp of them), or share one with exactly tp/numKvHeads ranks. ${remedy(spec, config)}`,
    );
  }
}

function checkStages({ pp }: LayoutSpec, { name, numLayers }: MoeConfig): void {
  if (pp <= numLayers) return;
  throw new ConfigError(
    `pp (${pp}) is more than numLayers (${numLayers}) of ${name}; every stage needs a layer. Try pp=${numLayers}.`,
  );
}

function headsSuit(tp: number, { numHeads, numKvHeads }: MoeConfig): boolean {
  return numHeads % tp === 0 && (numKvHeads % tp === 0 || tp % numKvHeads === 0);
}

/** The nearest ep for this tp, the nearest tp for this ep, or where neither can stay, a pair of both. */
function remedy({ ep, tp }: LayoutSpec, config: MoeConfig): string {
  const shares = divisorsOf(config.numExperts);
  const tpFor = (ranks: number): number | undefined =>
    nearest(
      divisorsOf(ranks).filter((size) => headsSuit(size, config)),
      tp,
    );
  const options: string[] = [];
  if (headsSuit(tp, config)) {
    const ranks = nearest(
      shares.filter((size) => size % tp === 0),
      ep,
    );
    if (ranks !== undefined) options.push(`ep=${ranks}`);
  }
  if (shares.includes(ep)) options.push(`tp=${tpFor(ep) ?? 1}`);
  if (options.length === 0) {
    const ranks = nearest(shares, ep) ?? 1;
    options.push(`ep=${ranks},tp=${tpFor(ranks) ?? 1}`);
  }
  return `Try ${options.join(' or ')}.`;
}

/** The choice nearest to `wanted`, the smaller of two equally near; undefined when there is none. */
function nearest(choices: readonly number[], wanted: number): number | undefined {
  let best: number | undefined;
  for (const choice of choices) {
    if (best === undefined || Math.abs(choice - wanted) < Math.abs(best - wanted)) best = choice;
  }
  return best;
}
