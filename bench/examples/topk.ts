/**
 * A top-k of one's own beside those of the family `gate-topk`:
 *
 *   npx moebius validate --with bench/examples/topk.ts
 *   npx moebius bench --with bench/examples/topk.ts
 */
import { defineVariant } from 'moebius/kernels';

const WG = { gpu: 64, software: 8 };

export const variants = defineVariant({
  family: 'gate-topk',
  name: 'passes',
  idea: 'a thread per token, a pass over its logits for every choice',
  shader: './topk.wgsl',
  spec: ({ score }, gpu) => ({ WG: WG[gpu.kernelsFor], SIGMOID: score === 'sigmoid' }),
  grid: (spec, { numTokens }) => [Math.ceil(numTokens / spec.WG), 1, 1],
  refusal: ({ biased, groups }) => {
    if (biased) return 'it knows no bias';
    return groups && 'it knows no groups';
  },
});
