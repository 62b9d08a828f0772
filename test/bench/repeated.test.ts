/** 50 runs in a row of an engine, an op and a small bench leave nothing: neither buffers nor what the collector cannot take. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { loadBenchModel } from '../../src/bench/model/bench-model.ts';
import { runBench } from '../../src/bench/run.ts';
import { SIZES } from '../../src/bench/sizes.ts';
import { openGpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { runOp } from '../../src/ops/ops.ts';
import { createEngine } from '../../src/runtime/engine.ts';
import { generate } from '../../src/runtime/generate.ts';
import { f32Tensor } from '../../src/tensor/tensor.ts';
import { testPlatform } from '../setup/gpu.ts';

const RUNS = process.env['MOEBIUS_RUNS'] === undefined ? 0 : 50;
const MOST_GROWTH = 5 * 2 ** 20;

test.runIf(RUNS > 0)(
  'the ledger is back at zero, and the heap has grown by less than 5 MB',
  async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const platform = testPlatform();
    const gpu = await openGpu(platform);
    const bundle = await loadBenchModel('bench/models/tiny-moe', (path) => platform.readFile(path));
    const layout = planLayout(parseLayout('ep=4,tp=2'), bundle.model.config);
    const a = f32Tensor(
      [64, 64],
      Float32Array.from({ length: 4096 }, (_, i) => i % 5),
    );
    const used = async (): Promise<number> => {
      for (let i = 0; i < 3; i++) {
        collect();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return process.memoryUsage().heapUsed;
    };
    const once = async (): Promise<void> => {
      const engine = await createEngine(gpu, {
        layout,
        weights: bundle.model,
        maxSequences: 1,
        maxLength: 8,
      });
      await generate(engine, { promptIds: [1, 2, 3], tokens: 3 });
      engine.destroy();
      await runOp(gpu, 'matmul', { a, b: a });
      await runBench(gpu, {
        ...{ ...bundle, quick: true, seconds: 0.2, withModel: false, only: { families: ['rope'] } },
        sizes: { ...SIZES.quick, ceilingNs: 0, hostMs: 1 },
      });
    };
    // What is compiled and cached once is no growth.
    for (let i = 0; i < 3; i++) await once();
    const before = await used();
    for (let i = 0; i < RUNS; i++) {
      await once();
      expect(gpu.ledger.count).toBe(0);
    }
    const growth = (await used()) - before;
    console.log(`heap after ${RUNS} runs: ${growth >= 0 ? '+' : ''}${(growth / 2 ** 20).toFixed(2)} MiB`);
    expect(growth).toBeLessThan(MOST_GROWTH);
    gpu.destroy();
  },
  900_000,
);
