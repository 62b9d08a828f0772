/** NaN goes through, and nothing overflows or underflows on the way to a result that f32 holds. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { range } from '../../src/core/math.ts';
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { castFloat, f32Tensor, type Tensor } from '../../src/tensor/tensor.ts';
import { maker } from '../../src/validate/draw/maker.ts';
import { testPlatform } from '../setup/gpu.ts';
import { expectAgreement, filled } from './extremes.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

/** Gate values, one an expert. Each is the bias of all its columns, since 0 times Infinity is NaN. */
const GATES = [NaN, Infinity, -Infinity, -1000, 1000, -89, -100, 88, 3e38, -3e38, 0, 1e20, -1e20];

/** Token t goes to expert t mod E, whose hidden values are the activation of its gate and `up`. */
function activated(tokens: number, up?: number): Record<string, Tensor> {
  const [E, D] = [GATES.length, 4];
  const logits = filled([tokens, E], 0);
  for (const t of range(tokens)) logits.data[t * E + (t % E)] = 60;
  const gates = GATES.flatMap((gate) => [gate, gate, gate, gate]);
  return {
    ...{ x: filled([tokens, D], 0), logits, w1: filled([E, D, D], 0), w2: filled([E, D, D], 0.25) },
    b1: f32Tensor([E, D], gates),
    ...(up !== undefined && { w3: filled([E, D, D], 0), b3: filled([E, D], up) }),
  };
}

const ACTIVATIONS = ['silu', 'gelu', 'relu', 'identity', 'swiglu_oai'];

describe('activations', () => {
  const attrs = (activation: string): Record<string, string | number> => ({ k: 1, activation });

  test.each(ACTIVATIONS)(
    '%s',
    async (activation) => {
      const turn = ACTIVATIONS.indexOf(activation);
      for (const up of [NaN, 3, -1e30]) {
        // Few choices go without a plan.
        const able = await expectAgreement(gpu, 'moe', activated(13, up), attrs(activation), turn);
        expect(able).toEqual(expect.arrayContaining(['plain', 'tiled', 'row', 'direct']));
        await expectAgreement(gpu, 'moe', activated(39, up), attrs(activation), turn);
      }
    },
    300_000,
  );

  test('silu without an up projection', () => expectAgreement(gpu, 'moe', activated(13), attrs('silu')));

  test('one NaN in x is met by every expert that reads it, and by no other row', async () => {
    const make = maker('NaN in x');
    const weight = (): Tensor => make.weight([3, 8, 8]);
    for (const tokens of [2, 9]) {
      const x = make.normal([tokens, 8]);
      x.data[3] = NaN;
      const layer = { x, logits: make.normal([tokens, 3]), w1: weight(), w3: weight(), w2: weight() };
      for (const activation of ['relu', 'swiglu_oai']) {
        await expectAgreement(gpu, 'moe', { ...layer, b1: filled([3, 8], 0) }, { k: 2, activation }, tokens);
      }
    }
  });
});

describe('rms-norm', () => {
  const sizes = fc.constantFrom(1, 3, 4, 36, 100, 260);
  const scale = fc.constantFrom(1e-30, 1e-28, 1e-25, 1e-20, 1e-12, 1, 1e12, 1e19, 1e20, 1e30, 5e37);

  test('rows of any size from 1e-30 to 1e38, beside rows of other sizes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          width: sizes,
          scales: fc.array(scale, { minLength: 1, maxLength: 6 }),
          eps: fc.constantFrom(0, 1e-36, 1e-30, 1e-12, 1e-5, 1e30),
          withResidual: fc.boolean(),
          seed: fc.nat(1000),
        }),
        async ({ width, scales, eps, withResidual, seed }) => {
          const make = maker(`rows ${seed}`);
          const rows = (): Tensor =>
            make.filled([scales.length, width], (i) => {
              const size = 0.5 + make.random.uniform();
              return (make.random.integer(2) * 2 - 1) * size * (scales[Math.floor(i / width)] ?? 1);
            });
          const [x, residual] = [rows(), rows()];
          const weight = make.normal([width]);
          await expectAgreement(gpu, 'rms-norm', { x, weight, ...(withResidual && { residual }) }, { eps });
        },
      ),
      { numRuns: 60 },
    );
  }, 300_000);

  test('one large number among small ones, and one that is not finite', async () => {
    for (const odd of [3e38, -1e25, 1e-30, Infinity, -Infinity, NaN]) {
      for (const width of [5, 64, 259]) {
        const x = filled([6, width], 1e-18);
        x.data[width + 2] = odd;
        await expectAgreement(gpu, 'rms-norm', { x, weight: filled([width], 2) }, { eps: 0 });
      }
    }
  });

  test('eps alone keeps a row of zeros from 0 / 0, and counts', async () => {
    const weight = filled([8], 1);
    await expectAgreement(gpu, 'rms-norm', { x: filled([3, 8], 0), weight }, { eps: 0 });
    await expectAgreement(gpu, 'rms-norm', { x: filled([3, 8], 0), weight }, { eps: 1.2e-38 });
    for (const eps of [1e-30, 1e-6, 1, 1e30]) {
      await expectAgreement(gpu, 'rms-norm', { x: filled([3, 8], Math.sqrt(eps)), weight }, { eps });
    }
  });
});

test('what f16 cannot hold is Infinity, and agrees with float64', async () => {
  const half = (shape: number[], values: number[]): Tensor => castFloat(f32Tensor(shape, values), 'f16');
  const b = half([3, 4], [1, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0]);
  const a = half([2, 4], [65504, 16, 0, 0, -65504, -32, 0, 0]);
  await expectAgreement(gpu, 'matmul', { a, b });
  const x = half([1, 4], [65504, -65504, 3, 0]);
  await expectAgreement(gpu, 'rms-norm', { x, residual: x, weight: half([4], [60000, 60000, 1, 1]) });
});
