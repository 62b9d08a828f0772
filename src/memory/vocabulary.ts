/** The vocabulary in pieces: rows of the embedding, and columns of logits, as many as an adapter can bind at once. */
import { balancedRun, ceilDiv, range } from '../core/math.ts';
import type { Layout, Run } from '../layout/layout.ts';
import type { WeightDtypes } from '../model/stored-weights.ts';
import { isIndexable, weightBytes } from '../tensor/weight-bytes.ts';
import { vocabularyOf } from './arrays.ts';
import { vocabularyShape } from './shapes.ts';

/** One piece each where a binding holds all of it. */
export interface Vocabulary {
  readonly embedding: readonly Run[];
  /** Of each TP member of the last stage: as many pieces on all of them, none longer than the first's. */
  readonly head: readonly (readonly Run[])[];
}

/** What would need more is left whole, and refused by whoever allocates it. */
const MOST_PIECES = 1024;

/** @param maxTokens rows of logits. */
export function vocabularyPieces(
  layout: Layout,
  dtypes: Pick<WeightDtypes, 'embedding' | 'head'>,
  maxTokens: number,
  bindableBytes: number,
): Vocabulary {
  const { modelDim, vocabSize } = layout.model;
  const ofEmbedding = piecesOf(vocabSize, (rows) => {
    const shape = vocabularyShape(modelDim, rows);
    return isIndexable(shape) && weightBytes(dtypes.embedding, shape) <= bindableBytes;
  });
  const ofHead = piecesOf(vocabularyOf(layout, 0).count, (columns) => {
    const shape = vocabularyShape(modelDim, columns);
    const bytes = Math.max(weightBytes(dtypes.head, shape), 4 * maxTokens * columns);
    return isIndexable(shape) && bytes <= bindableBytes;
  });
  const cut = ({ first, count }: Run, pieces: number): Run[] =>
    range(pieces).map((i) => {
      const [start, length] = balancedRun(count, pieces, i);
      return { first: first + start, count: length };
    });
  return {
    embedding: cut({ first: 0, count: vocabSize }, ofEmbedding),
    head: range(layout.spec.tp).map((tp) => cut(vocabularyOf(layout, tp), ofHead)),
  };
}

/** The fewest equal pieces that fit. */
function piecesOf(count: number, fits: (rows: number) => boolean): number {
  const found = range(Math.min(count, MOST_PIECES)).find((i) => fits(ceilDiv(count, i + 1)));
  return (found ?? 0) + 1;
}
