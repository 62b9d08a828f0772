/** The vocabulary in pieces, worked by hand. */
import { expect, test } from 'vitest';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { vocabularyPieces } from '../../src/memory/vocabulary.ts';
import { dtypesOf } from '../../src/model/stored-weights.ts';
import { modelWith } from '../layout/support.ts';

const model = modelWith({
  ...{ vocabSize: 1003, modelDim: 64, numHeads: 4, numKvHeads: 2, headDim: 16 },
  ...{ numExperts: 4, topK: 2, expertDim: 32 },
});

test('as many pieces as hold the weights and the logits, none where one does', () => {
  const on = (tp: number): ReturnType<typeof planLayout> => planLayout(parseLayout(`ep=2,tp=${tp}`), model);
  const of = (tp: number, tokens: number, bytes: number): number[][] => {
    const { embedding, head } = vocabularyPieces(on(tp), dtypesOf('f32'), tokens, bytes);
    return [embedding, ...head].map((runs) => runs.map(({ count }) => count));
  };
  const rows = 256 * 1003;
  expect(of(1, 1, rows)).toEqual([[1003], [1003]]);
  expect(of(1, 1, rows - 1)).toEqual([
    [502, 501],
    [502, 501],
  ]);
  // Two members of 502 and 501 columns.
  expect(of(2, 1, rows - 1)).toEqual([[502, 501], [502], [501]]);
  expect(of(2, 1, 256 * 502 - 1)).toEqual([
    [335, 334, 334],
    [251, 251],
    [251, 250],
  ]);
  // 100 rows of logits take more than the weights.
  expect(of(2, 100, 400 * 502 - 1)).toEqual([
    [502, 501],
    [251, 251],
    [251, 250],
  ]);
  // A row that cannot be bound is left to whoever allocates it.
  expect(of(1, 1, 255)).toEqual([[1003], [1003]]);
  const { head } = vocabularyPieces(on(2), dtypesOf('f32'), 1, 256 * 200);
  expect(head.flat().map(({ first }) => first)).toEqual([0, 168, 335, 502, 669, 836]);
});
