import { ConfigError } from '../core/errors.ts';
import { divisorsOf } from '../core/math.ts';
import type { MoeConfig } from '../model/config.ts';
import { checkSizes, type LayoutSpec } from './spec.ts';

/**
 * What a layout must satisfy before a rank can own anything. Each rule has one error: the value, the rule and a
 * remedy that satisfies every rule at once where there is one.
 * @throws ConfigError
 */
export function checkLayout(spec: LayoutSpec, config: MoeConfig): void {
  checkSizes(spec);
  checkTpInEp(spec, config);
  checkExperts(spec, config);
  checkHeads(spec, config);
  checkStages(spec, config);
}

function checkTpInEp(spec: LayoutSpec, config: MoeConfig): void {
  const { ep, tp } = spec;
  if (ep % tp === 0) return;
  const expertRanks = nearest(epChoices(tp, config), ep);
  const other = expertRanks === undefined ? '' : `ep=${expertRanks} or `;
  throw new ConfigError(
    `tp (${tp}) does not divide ep (${ep}); with folding the TP groups are formed among the ep ranks of a ` +
      `replica's stage, ep/tp of them. Try ${other}tp=${tpNear(spec, config)}.`,
  );
}

function checkExperts(spec: LayoutSpec, config: MoeConfig): void {
  const { ep, tp } = spec;
  const { name, numExperts } = config;
  if (numExperts % ep === 0) return;
  const expertRanks = nearest(epChoices(tp, config), ep);
  const remedy =
    expertRanks === undefined ? `ep=${nearest(divisorsOf(numExperts), ep)},tp=1` : `ep=${expertRanks}`;
  throw new ConfigError(
    `ep (${ep}) does not divide numExperts (${numExperts}) of ${name}; ranks must own equal shares of the ` +
      `experts. Try ${remedy}.`,
  );
}

function checkHeads(spec: LayoutSpec, config: MoeConfig): void {
  const { tp } = spec;
  const { name, numHeads, numKvHeads } = config;
  if (numHeads % numKvHeads !== 0) {
    throw new ConfigError(
      `numHeads (${numHeads}) of ${name} is not a multiple of numKvHeads (${numKvHeads}); every KV head must ` +
        `serve equally many query heads. Try numKvHeads=${nearest(divisorsOf(numHeads), numKvHeads)}.`,
    );
  }
  if (numHeads % tp !== 0) {
    throw new ConfigError(
      `tp (${tp}) does not divide numHeads (${numHeads}) of ${name}; the ranks of a TP group must own equally ` +
        `many query heads. Try tp=${tpNear(spec, config)}.`,
    );
  }
  if (!kvHeadsFit(tp, numKvHeads)) {
    throw new ConfigError(
      `tp (${tp}) and numKvHeads (${numKvHeads}) of ${name} do not divide each other; a rank must own whole KV ` +
        `heads (numKvHeads/tp of them), or share one with exactly tp/numKvHeads ranks. ` +
        `Try tp=${tpNear(spec, config)}.`,
    );
  }
}

function checkStages(spec: LayoutSpec, config: MoeConfig): void {
  if (spec.pp <= config.numLayers) return;
  throw new ConfigError(
    `pp (${spec.pp}) is more than numLayers (${config.numLayers}) of ${config.name}; every stage needs a layer. ` +
      `Try pp=${config.numLayers}.`,
  );
}

function kvHeadsFit(tp: number, numKvHeads: number): boolean {
  return numKvHeads % tp === 0 || tp % numKvHeads === 0;
}

/** Every ep that gives equal shares of the experts and whole groups of `tp`. */
function epChoices(tp: number, config: MoeConfig): number[] {
  return divisorsOf(config.numExperts).filter((ep) => ep % tp === 0);
}

/** The tp nearest to the one asked for that divides ep and suits the heads. */
function tpNear(spec: LayoutSpec, config: MoeConfig): number {
  const choices = divisorsOf(spec.ep).filter(
    (tp) => config.numHeads % tp === 0 && kvHeadsFit(tp, config.numKvHeads),
  );
  return nearest(choices, spec.tp) ?? 1;
}

/** The choice nearest to `wanted`, the smaller of two equally near; undefined when there is none. */
function nearest(choices: readonly number[], wanted: number): number | undefined {
  let best: number | undefined;
  for (const choice of choices) {
    if (best === undefined || Math.abs(choice - wanted) < Math.abs(best - wanted)) best = choice;
  }
  return best;
}
