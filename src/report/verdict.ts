/** What a comparison comes to, in a sentence for terminal, report and page. */
import type { ComparedRow, Comparison } from '../compare/compare.ts';
import { plural } from '../layout/text.ts';

/** '2 of 49 rows are slower in B, 1 of them also after allowing for all rows; 40 are ambiguous.' */
export function verdictText({ rows, weak }: Comparison): string {
  const count = (word: ComparedRow['word']): number => rows.filter((row) => row.word === word).length;
  const certain = rows.filter((row) => row.certain).length;
  const named = count('slower') + count('faster');
  const parts = (['slower', 'faster', 'same', 'ambiguous'] as const)
    .filter((word) => count(word) > 0)
    .map((word) => `${count(word)} ${word}`);
  const sure = weak
    ? 'Weak: with fewer than 5 runs a side, rounds of one run are taken for independent, which they are not'
    : named === 0
      ? 'Nothing differs by more than chance explains'
      : `${certain === 0 ? 'None' : `${certain} of ${named}`} differ also after allowing for all rows`;
  return `Of ${plural(rows.length, 'row')}, B beside A: ${parts.join(', ')}. ${sure}.`;
}
