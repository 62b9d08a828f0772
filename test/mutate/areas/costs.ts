/** Faults of what work is said to be: FLOP and bytes of ops and of models, comparisons, budgets. */
import { faultsIn, type Mutant } from '../mutant.ts';

const costs = { tests: ['ops/costs.test.ts'] };

export const costFaults: readonly Mutant[] = [
  ...faultsIn('src/ops/dense/matmul.ts', costs, [
    {
      find: 'flops: 2 * numRows * numCols * depth,',
      replace: 'flops: numRows * numCols * depth,',
      why: 'a multiply-add is one FLOP',
    },
    {
      find: 'bytes: bytesOfInputs(inputs) + numRows * numCols * BYTES_OF[outputDtype(inputs)],',
      replace: 'bytes: bytesOfInputs(inputs),',
      why: 'what a product writes costs nothing',
    },
  ]),
  ...faultsIn('src/ops/moe/moe.ts', costs, [
    {
      find: '(gated ? 3 : 2);',
      replace: '3;',
      why: 'experts without an up projection cost as much as gated ones',
    },
    {
      find: 'const combine = 2 * numTokens * topK * modelDim;',
      replace: 'const combine = 0;',
      why: 'the combine has no FLOP',
    },
    {
      find: 'const used = new Set(gateTopK(routed).ids_TK).size;',
      replace: 'const used = size.numExperts;',
      why: 'weights of experts that nobody chose count as read',
    },
    { find: '? 2 * numTokens * numExperts * modelDim : 0;', replace: '? 0 : 0;', why: 'the router is free' },
  ]),
  ...faultsIn('src/ops/dense/rms-norm.ts', costs, [
    {
      find: '(residual ? 2 : 1) * BYTES_OF',
      replace: '1 * BYTES_OF',
      why: 'the sum that is written too costs nothing',
    },
    { find: '(residual ? 5 : 4)', replace: '4', why: 'adding the residual is no FLOP' },
  ]),
  ...faultsIn('src/ops/dense/rope.ts', costs, [
    {
      find: 'flops: 3 * count',
      replace: 'flops: 6 * count',
      why: 'every turn is counted for both elements of its pair',
    },
  ]),
  ...faultsIn('src/model/cost.ts', { tests: ['model/cost.test.ts'] }, [
    {
      find: 'config.numLayers * 4 * config.numHeads',
      replace: 'config.numLayers * 2 * config.numHeads',
      why: 'scores are counted, weighted values are not',
    },
    {
      find: '(2 * count.experts * config.topK) / config.numExperts',
      replace: '2 * count.experts',
      why: 'every token pays for all experts',
    },
    {
      find: '(2 * numLayers + 1) * modelDim',
      replace: '2 * numLayers * modelDim',
      why: 'the last norm is forgotten',
    },
  ]),
  ...faultsIn('src/tensor/compare.ts', { tests: ['tensor'] }, [
    {
      find: 'if (!passes) over += 1;',
      replace: 'if (err > allowed) over += 1;',
      why: 'NaN passes',
    },
    {
      find: 'if (got.length !== want.length) {',
      replace: 'if (got.length < want.length) {',
      why: 'a result that is longer than its reference passes',
    },
    {
      find: 'return nu / (1 - nu);',
      replace: 'return 4 * nu;',
      why: 'the bound of rounding errors is four times too large',
    },
    {
      find: 'budget.atol + budget.rtol * Math.abs(w)',
      replace: 'budget.atol + budget.rtol',
      why: 'a relative tolerance is taken as an absolute one',
    },
    {
      find: 'position.unshift(rest % size);',
      replace: 'position.push(rest % size);',
      why: 'the worst element is named back to front',
    },
  ]),
  ...faultsIn('src/ops/budgets.ts', { tests: ['ops/costs.test.ts', 'kernels/cases.test.ts'] }, [
    {
      find: 'unit: 2 ** -11, least',
      replace: 'unit: 2 ** -9, least',
      why: 'outputs in f16 may be off by four times their rounding',
    },
  ]),
];
