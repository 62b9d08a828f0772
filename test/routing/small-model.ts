/** A model of 6 experts, which no power of two divides, with random weights. */
import { syntheticWeights } from '../../src/model/synthetic.ts';
import { modelWith } from '../layout/support.ts';

export const model = modelWith({
  ...{ numLayers: 2, vocabSize: 29, modelDim: 64, numHeads: 8, numKvHeads: 4, headDim: 8 },
  ...{ numExperts: 6, topK: 2, expertDim: 32 },
});
export const weights = syntheticWeights(model, 7);
