/** Names that were mistyped. */
import { at } from '../math.ts';

/** The name that `given` was meant to be, if one is near: at most a third of its letters (or one) differ, or it holds the word. */
export function nearestName(given: string, names: readonly string[]): string | undefined {
  // The length alone tells that a name of megabytes is not near.
  if (names.every((name) => given.length > 2 * name.length + 1)) return undefined;
  const wanted = given.toLowerCase();
  let best: string | undefined;
  let fewest = Infinity;
  for (const name of names) {
    const most = Math.max(1, Math.floor(name.length / 3));
    if (Math.abs(name.length - wanted.length) > most) continue;
    const edits = editDistance(wanted, name.toLowerCase());
    // One letter for another is another name: 'Q' was not meant to be 'M'.
    if (edits <= most && edits < wanted.length && edits < fewest) {
      best = name;
      fewest = edits;
    }
  }
  return best ?? names.find((name) => wanted.length >= 2 && name.toLowerCase().includes(wanted));
}

/** ' (did you mean "moe"?)', or nothing when no name is near. */
export function didYouMean(given: string, names: readonly string[]): string {
  const near = nearestName(given, names);
  return near === undefined ? '' : ` (did you mean "${near}"?)`;
}

/** Fewest insertions, deletions and replacements that turn a into b (Levenshtein): editDistance('moe', 'more') = 1. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(row, j - 1) + Number(a[i - 1] !== b[j - 1]);
      next.push(Math.min(at(row, j) + 1, at(next, j - 1) + 1, replaced));
    }
    row = next;
  }
  return at(row, b.length);
}
