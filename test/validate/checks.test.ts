/** The checks themselves: what a wrong kernel does to a case, to its second run, to a spot check and to a fuzz run. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Pieces, piecewise } from '../../src/core/async/pieces.ts';
import { CancelledError } from '../../src/core/errors.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import type { Expected, Op, PreparedOp } from '../../src/ops/op.ts';
import { opByName } from '../../src/ops/ops.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { casesOf } from '../../src/validate/cases.ts';
import { fuzzOp } from '../../src/validate/draw/fuzz.ts';
import type { KernelCase } from '../../src/validate/kernel-case.ts';
import { runCase, runCases } from '../../src/validate/run-case.ts';
import { spotChecked } from '../../src/validate/spot-check.ts';
import { subjectCase } from '../../src/validate/draw/subject.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

const rope = casesOf('rope').find(({ name }) => name === 'halves');
if (rope === undefined) throw new Error('the case is gone');

type Spoil = (outputs: Map<string, Tensor>, run: number) => void;

/** The case with its results spoilt as they are read: the n-th read is run n. */
function spoilt(kernelCase: KernelCase, spoil: Spoil): KernelCase {
  return {
    ...kernelCase,
    prepare: async (device, variant): Promise<PreparedOp> => {
      const prepared = await kernelCase.prepare(device, variant);
      let run = 0;
      return {
        ...prepared,
        read: async () => {
          const outputs = await prepared.read();
          spoil(outputs, run++);
          return outputs;
        },
      };
    },
  };
}

const outputOf = (outputs: Map<string, Tensor>): Tensor => {
  const [first] = outputs.values();
  if (first === undefined) throw new Error('no output');
  return first;
};

describe('a case', () => {
  test('passes as it is', async () => {
    expect(
      await runCase(
        gpu,
        spoilt(rope, () => undefined),
      ),
    ).toMatchObject({ pass: true });
  });

  test('is called off within its reference, with nothing of it left on the device', async () => {
    const controller = new AbortController();
    const endless = piecewise(function* (): Pieces<ReadonlyMap<string, Expected>> {
      setTimeout(() => controller.abort(), 0);
      for (;;) yield;
    });
    const before = gpu.ledger.bytes;
    const run = runCase(gpu.under(controller.signal), { ...rope, reference: endless });
    await expect(run).rejects.toBeInstanceOf(CancelledError);
    expect(gpu.ledger.bytes).toBe(before);
  });

  test('fails when the second run differs in one bit, though both are within the budget', async () => {
    const oneBit: Spoil = (outputs, run) => {
      const bits = new Uint32Array(outputOf(outputs).data.buffer);
      if (run === 1) bits[bits.length - 1] = (bits.at(-1) ?? 0) ^ 1;
    };
    const result = await runCase(gpu, spoilt(rope, oneBit));
    expect(result).toMatchObject({ pass: false, worstShare: Infinity });
    expect(result.message).toBe('y has other bits on the second run');
  });

  test.each<[string, Spoil]>([
    ['one element is off', (outputs) => void (outputOf(outputs).data[3] = 1e3)],
    ['one element is NaN', (outputs) => void (outputOf(outputs).data[3] = NaN)],
    ['an output is missing', (outputs) => outputs.clear()],
  ])('fails when %s', async (_what, spoil) => {
    expect(await runCase(gpu, spoilt(rope, spoil))).toMatchObject({ pass: false });
  });

  test('fails when one of two outputs is wrong', async () => {
    const topk = casesOf('gate-topk').find(({ name }) => name === 'primes');
    if (topk === undefined) throw new Error('the case is gone');
    const wrongScore: Spoil = (outputs) => {
      const scores = outputs.get('scores');
      if (scores !== undefined) scores.data[0] = 5;
    };
    expect(
      await runCase(
        gpu,
        spoilt(topk, () => undefined),
      ),
    ).toMatchObject({ pass: true });
    expect(await runCase(gpu, spoilt(topk, wrongScore))).toMatchObject({ pass: false });
  });

  test('that throws has failed with its words, and frees its buffers', async () => {
    const failing = spoilt(rope, () => {
      throw new Error('no bits today');
    });
    expect(await runCase(gpu, failing)).toMatchObject({ pass: false, message: 'no bits today' });
    expect(gpu.ledger.bytes).toBe(0);
  });

  test('is run with every variant, and each is told', async () => {
    const told: string[] = [];
    const results = await runCases(gpu, [rope, rope], ({ variant }) => told.push(variant));
    expect(told).toEqual([...rope.variants(gpu), ...rope.variants(gpu)]);
    expect(results.map(({ variant }) => variant)).toEqual(told);
  });
});

describe('a spot check', () => {
  const numRows = 600;
  const full = subjectCase({ op: 'matmul', dims: { M: numRows, N: 600, K: 600 } });
  const spot = spotChecked(full);
  const spoilRow = (row: number): KernelCase => {
    const wrong = spotChecked(
      spoilt(full, (outputs) => {
        const { data, shape } = outputOf(outputs);
        data[row * (shape[1] ?? 0) + 599] = 1e3;
      }),
    );
    return { ...wrong, reference: () => spot.reference() };
  };

  test('sees the first and the last row and some between', async () => {
    const kept = Number(/, (\d+) of 600 rows/.exec(spot.name)?.[1]);
    expect(kept).toBeGreaterThan(100);
    expect(kept).toBeLessThan(numRows);
    const middle = Math.floor((Math.floor(kept / 2) * (numRows - 1)) / (kept - 1));
    for (const row of [0, middle, numRows - 1]) {
      const result = await runCase(gpu, spoilRow(row));
      expect([row, result.pass]).toEqual([row, false]);
    }
    expect(await runCase(gpu, spot)).toMatchObject({ pass: true });
  });

  test('takes a small case as it is', () => {
    expect(spotChecked(rope)).toBe(rope);
  });
});

describe('random cases', () => {
  const right = opByName('rope');
  const wrong: Op = {
    ...right,
    reference: (inputs) =>
      new Map(
        [...right.reference(inputs)].map(([name, e]) => [name, { ...e, values: e.values.map((v) => v + 1) }]),
      ),
  };

  test('count every run, every failure and the worst error', async () => {
    const honest = await fuzzOp(gpu, right, { cases: 3, seed: 5 });
    expect(honest.failures).toEqual([]);
    expect(honest.runs).toBe(Object.values(honest.byVariant).reduce((a, b) => a + b, 0));
    expect(honest.runs).toBeGreaterThanOrEqual(3);
    expect(honest.worstShare).toBeLessThanOrEqual(1);
    const report = await fuzzOp(gpu, wrong, { cases: 3, seed: 5 });
    expect(report).toMatchObject({ family: 'rope', seed: 5, cases: 3, runs: honest.runs });
    expect(report.failures).toHaveLength(honest.runs);
    expect(report.worstShare).toBeGreaterThan(1);
  });

  test('the worst error is that of all cases', async () => {
    const worst = async (seed: number, cases: number): Promise<number> =>
      (await fuzzOp(gpu, right, { cases, seed })).worstShare;
    const single = [await worst(5, 1), await worst(6, 1), await worst(7, 1), await worst(8, 1)];
    // Whichever is the worst, it is not the last of one of these.
    expect(await worst(5, 4)).toBe(Math.max(...single));
    expect(await worst(5, 3)).toBe(Math.max(...single.slice(0, 3)));
    expect(await worst(5, 2)).toBe(Math.max(...single.slice(0, 2)));
  });

  test('a failure names its own seed, and the command that repeats it', async () => {
    const { failures } = await fuzzOp(gpu, wrong, { cases: 2, seed: 40 });
    expect([...new Set(failures.map(({ seed }) => seed))]).toEqual([40, 41]);
    expect(failures[0]?.command).toMatch(/^moebius validate --fuzz 1 --seed 40 --family rope --adapter \w+$/);
    expect(failures[0]?.message).toMatch(/^y: .* over budget/);
  });
});
