/** A router whose weights are broken gives NaN, by every score and every way to choose; never numbers that look right. */
import { expect, test } from 'vitest';
import { openGpu } from '../../../src/gpu/gpu.ts';
import { runOp } from '../../../src/ops/ops.ts';
import { maker } from '../../../src/validate/draw/maker.ts';
import { testPlatform } from '../../setup/gpu.ts';

const [D, F] = [8, 12];
const settings = (['software', 'gpu'] as const).flatMap((kernelKind) =>
  [2, 40].flatMap((T) => [3, 40].map((E) => [kernelKind, T, E] as const)),
);

test.each(settings)('kernels of kind %s, %i tokens, %i experts', async (kernelKind, T, E) => {
  const gpu = await openGpu({ ...testPlatform(), kernelKind });
  const make = maker('a broken router');
  const gate = make.normal([E, D]);
  // In float64 the logit of expert 2 is NaN, which is chosen first.
  gate.data[2 * D + 1] = NaN;
  const [w1, w3, w2] = [make.weight([E, F, D]), make.weight([E, F, D]), make.weight([E, D, F])];
  const tensors = new Map(Object.entries({ x: make.normal([T, D]), gate, w1, w3, w2 }));
  for (const score of ['softmax', 'sigmoid']) {
    for (const renormalize of [false, true]) {
      const y = (await runOp(gpu, 'moe', tensors, { k: 2, score, renormalize })).get('y');
      expect([score, renormalize, y?.data.filter((v) => !Number.isNaN(v)).length]).toEqual([
        score,
        renormalize,
        0,
      ]);
    }
  }
  gpu.destroy();
});
