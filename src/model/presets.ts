/** Model shapes by name. */
import { ConfigError } from '../core/errors.ts';
import { at, range } from '../core/math.ts';
import { PRESETS, type Preset } from './preset-list.ts';

export type { Preset } from './preset-list.ts';

export const presets: ReadonlyMap<string, Preset> = new Map(PRESETS.map((p) => [p.config.name, p]));

/** @throws ConfigError for an unknown name, with the nearest one and the whole list. */
export function presetNamed(name: string): Preset {
  const found = presets.get(name);
  if (found !== undefined) return found;
  const names = [...presets.keys()];
  const near = nearest(name, names);
  const hint = near === undefined ? '' : ` Did you mean "${near}"?`;
  throw new ConfigError(`There is no model preset "${name}".${hint} Presets: ${names.join(', ')}.`);
}

/** The candidate that contains `word` or differs from it by the fewest edits (at most a third of its length), if any. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const wanted = word.toLowerCase();
  let best: string | undefined;
  let fewest = Infinity;
  for (const candidate of candidates) {
    const edits = editDistance(wanted, candidate);
    if (edits < fewest && edits <= candidate.length / 3) {
      best = candidate;
      fewest = edits;
    }
  }
  return best ?? candidates.find((c) => wanted.length >= 2 && c.includes(wanted));
}

/** Fewest insertions, deletions and replacements that turn a into b (Levenshtein): editDistance('dbx', 'dbrx') = 1. */
export function editDistance(a: string, b: string): number {
  let previous = range(b.length + 1);
  for (let i = 0; i < a.length; i++) {
    const row = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const replaced = at(previous, j) + (a[i] === b[j] ? 0 : 1);
      row.push(Math.min(replaced, at(previous, j + 1) + 1, at(row, j) + 1));
    }
    previous = row;
  }
  return at(previous, b.length);
}
