/**
 * Two ways through the experts of a rank that owns them all. Direct: every choice of a token is a row that reads its own
 * expert's weights. Planned: rows are sorted by expert, so that a tile reads its weights once.
 */
import type { Gpu } from '../../gpu/gpu.ts';
import { planLocal } from '../routing/local-plan.ts';
import { chooseVariant, preferring, type Variant } from '../variants.ts';
import { wholeChunks } from '../weights.ts';
import { downRow } from './direct.ts';
import type { RoutedShape } from './products.ts';

export type Path = 'direct' | 'planned';

/** What decides between them. */
export type PathShape = Pick<
  RoutedShape,
  'numExperts' | 'topK' | 'modelDim' | 'expertDim' | 'gated' | 'upDtype' | 'downDtype'
> & { readonly numTokens: number };

/** Choices up to which the direct way is offered: a guess. */
const DIRECT_CHOICES = 16;

/** Why these experts need a plan; undefined when every choice can go its own way. */
export function directRefusal(shape: PathShape): string | undefined {
  const { numTokens, topK, upDtype, downDtype, modelDim, expertDim } = shape;
  if (numTokens * topK > DIRECT_CHOICES) {
    return `${numTokens} tokens with ${topK} experts each are more than ${DIRECT_CHOICES} choices`;
  }
  return wholeChunks(upDtype, modelDim) ?? wholeChunks(downDtype, expertDim);
}

/** Most tokens that may go direct. */
export function mostDirectTokens(topK: number): number {
  return Math.floor(DIRECT_CHOICES / topK);
}

/** Each way's advice holds for the text of one of its shaders, which stands for them. */
const pathVariants: readonly (Variant<PathShape> & { readonly name: Path })[] = [
  {
    name: 'direct',
    idea: 'no plan: a row per choice, joined by the down projection',
    kernel: downRow,
    spec: () => ({}),
    refusal: directRefusal,
  },
  {
    name: 'planned',
    idea: 'rows sorted by expert: a tile reads its weights once',
    kernel: planLocal,
    spec: () => ({}),
    refusal: () => undefined,
  },
];

/** Rows of an expert beyond which a tile should cost less than a row each, until the tuner has timed both: a guess. */
const FEW_ROWS = 2;

export function choosePath(gpu: Gpu, shape: PathShape): Path {
  const { numTokens, numExperts, topK, modelDim, expertDim, gated, upDtype, downDtype } = shape;
  const asked = { numTokens, numExperts, topK, modelDim, expertDim, gated, upDtype, downDtype };
  const few = (numTokens * topK) / numExperts <= FEW_ROWS;
  return chooseVariant('moe-path', preferring(pathVariants, few ? 'direct' : 'planned'), asked, gpu).name;
}
