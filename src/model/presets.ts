/** Model shapes by name. */
import { ConfigError } from '../core/errors.ts';
import { requireGiven } from '../core/given.ts';
import { nearestName } from '../core/text/near-names.ts';
import { quoted } from '../core/text/quoted.ts';
import { PRESETS, type Preset } from './preset-list.ts';

export type { Preset } from './preset-list.ts';

/** The shapes of known models by name, each with where its numbers come from. */
export const presets: ReadonlyMap<string, Preset> = new Map(PRESETS.map((p) => [p.config.name, p]));

/**
 * The preset of this name, as `moebius layout --preset` takes it.
 * @throws ConfigError for an unknown name, with the nearest one and the whole list.
 */
export function presetNamed(name: string): Preset {
  requireGiven('The preset', name, 'string');
  const found = presets.get(name);
  if (found !== undefined) return found;
  const names = [...presets.keys()];
  const near = nearestName(name, names);
  const hint = near === undefined ? '' : ` Did you mean "${near}"?`;
  throw new ConfigError(`There is no model preset ${quoted(name)}.${hint} Presets: ${names.join(', ')}.`);
}
