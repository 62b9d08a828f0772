/** Each step of the routed layer is put together in one place, for ops and for the engine. */
import { expect, test } from 'vitest';
import { filesBelow, textOf } from './source-files.ts';

/** Files of src that call `name`, but for the one that defines it and for cases, which hold kernels by themselves. */
function callersOf(name: string): string[] {
  return filesBelow('src').filter((path) => {
    if (path.startsWith('src/validate/')) return false;
    const text = textOf(path);
    return new RegExp(`\\b${name}\\(`).test(text) && !new RegExp(`function ${name}\\(`).test(text);
  });
}

test.each([
  ['the plan of a rank that owns all experts', 'prepareLocalPlan', 'src/routed/local.ts'],
  ['the choice between direct and planned', 'choosePath', 'src/routed/local.ts'],
  ['the experts of few tokens', 'prepareDirectExperts', 'src/routed/local.ts'],
  ['the plan of what is sent', 'prepareRoutePlan', 'src/routed/exchanged.ts'],
  ['the plan of what is received', 'prepareReceivePlan', 'src/routed/exchanged.ts'],
  ['an up or a down projection', 'prepareExpertGemm', 'src/kernels/experts/products.ts'],
  ['the grids of both', 'gridsOf', 'src/kernels/experts/products.ts'],
])('%s', (_step, name, place) => {
  expect(callersOf(name)).toEqual([place]);
});

test('products and combine belong to the two forms, and what uses these has no kernel of theirs', () => {
  const forms = ['src/routed/exchanged.ts', 'src/routed/local.ts'];
  expect(callersOf('prepareProducts')).toEqual(forms);
  expect(callersOf('prepareCombine')).toEqual(forms);
  expect(callersOf('prepareLocalExperts')).toEqual([
    'src/laboratory/layer-time.ts',
    'src/ops/moe/pipeline.ts',
    'src/runtime/layer/expert-kernels.ts',
  ]);
  expect(callersOf('prepareExchangedExperts')).toEqual(['src/runtime/layer/expert-kernels.ts']);
});
