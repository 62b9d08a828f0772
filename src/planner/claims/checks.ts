/** Everything that a claim can be held against, by name. */
import { ConfigError } from '../../core/errors.ts';
import { didYouMean } from '../../core/text/near-names.ts';
import { quoted } from '../../core/text/quoted.ts';
import type { Check } from './check.ts';
import { communicationChecks } from './checks/communication.ts';
import { layoutChecks } from './checks/layout.ts';
import { memoryChecks } from './checks/memory.ts';
import { operationChecks } from './checks/operation.ts';
import { pipelineChecks } from './checks/pipeline.ts';
import { rateChecks } from './checks/rates.ts';
import { routingChecks } from './checks/routing.ts';

export const CHECKS: ReadonlyMap<string, Check> = new Map(
  Object.entries({
    ...layoutChecks,
    ...rateChecks,
    ...pipelineChecks,
    ...communicationChecks,
    ...memoryChecks,
    ...routingChecks,
    ...operationChecks,
  }),
);

/** @throws ConfigError for a name that is none, with the nearest. */
export function checkNamed(name: string, label: string): Check {
  const found = CHECKS.get(name);
  if (found !== undefined) return found;
  const names = [...CHECKS.keys()];
  throw new ConfigError(
    `${label} has check ${quoted(name)}, which there is not${didYouMean(name, names)}. Checks: ${names.join(', ')}.`,
  );
}
