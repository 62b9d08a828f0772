/** How tokens choose experts in a deployment: by a law, or as a recorded trace has it, layer by layer. */
import { ConfigError } from '../../core/errors.ts';
import { sum } from '../../core/math.ts';
import { quoted } from '../../core/text/quoted.ts';
import type { Skew } from '../../hardware/queries.ts';
import { routingOf } from '../../hardware/routing-names.ts';
import type { RoutingTrace } from '../../routing/trace/trace.ts';

/** Shares of the rows that each expert was chosen for, in each layer of a trace; a layer's sum to 1. */
export interface RecordedRouting {
  readonly kind: 'recorded';
  readonly layers: readonly (readonly number[])[];
}

export type Routing = Skew | RecordedRouting;

/** 'uniform' or 'random', 'balanced' or 'eplb', 'zipf:1.2', 'power-law:1.2'. @throws ConfigError for another text, or an exponent outside [0, 4]. */
export function routingNamed(text: string): Skew {
  const { skew, placed } = routingOf(text, 'uniform');
  // Experts placed by their load leave ranks about even.
  return placed ? { kind: 'balanced' } : skew;
}

/** What a trace must be of. */
export interface RoutedShape {
  readonly name: string;
  readonly experts: number;
  readonly topK: number;
}

/**
 * Of the traces of a file the first that is of so many experts and choices, all its layers and texts. Pairs of layers count
 * one choice a token, whatever the model makes.
 * @throws ConfigError where no trace is of the model's shape, or none has a row.
 */
export function recordedRouting(
  traces: readonly RoutingTrace[],
  { name, experts, topK }: RoutedShape,
  label: string,
): RecordedRouting {
  const alike = traces.filter(({ numExperts }) => numExperts === experts);
  const trace =
    alike.find((one) => one.topK === topK) ??
    alike.find(({ transitions }) => transitions !== undefined && transitions.length > 0);
  if (trace === undefined) {
    const there = [...new Set(traces.map((one) => `${one.numExperts} experts and top-${one.topK}`))];
    throw new ConfigError(
      `${label} is routing of ${there.join(', of ')}, but ${name} has ${experts} experts and top-${topK}. ` +
        `Take a trace of that model, or a law such as zipf:1.2.`,
    );
  }
  const layers = trace.layers.flatMap(({ count_E }) => {
    const rows = sum(count_E);
    return rows > 0 ? [count_E.map((count) => count / rows)] : [];
  });
  if (layers.length === 0)
    throw new ConfigError(`${label} has no rows in any layer, so it tells no routing.`);
  return { kind: 'recorded', layers };
}

/** Whether a text of the option or column `routing` is the path of a trace, and no law. */
export function isRoutingPath(text: string): boolean {
  return /[/\\]|\.(json|csv|txt)$/i.test(text.trim());
}

/** @throws ConfigError for the path of a trace where only laws can be read. */
export function routingHere(routing: string | Routing): Routing {
  if (typeof routing !== 'string') return routing;
  if (isRoutingPath(routing))
    throw new ConfigError(`routing ${quoted(routing)} is a file, which cannot be read here. Name a law.`);
  return routingNamed(routing);
}
