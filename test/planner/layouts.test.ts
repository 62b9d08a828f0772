import { describe, expect, test } from 'vitest';
import { startedAs, type Layout, type Run } from '../../bench/fit/serving/layouts.ts';
import { leftOutRows } from '../../src/planner/accuracy/rows.ts';

const tp = (gpus: number): Layout => ({ attnTp: gpus, attnDp: 1, moeTp: gpus, ep: 1 });
const tpEp = (gpus: number): Layout => ({ attnTp: gpus, attnDp: 1, moeTp: 1, ep: gpus });
const dpEp = (gpus: number): Layout => ({ attnTp: 1, attnDp: gpus, moeTp: 1, ep: gpus });

describe('layouts are those that the published scripts started', () => {
  const minimax: Omit<Run, 'gpus' | 'layout'> = {
    ...{ model: 'minimax-m2.5', hardware: 'b300_sxm', backend: 'vllm', precision: 'fp4', date: '2026-04-21' },
    ...{ isl: 1024, osl: 1024, concurrency: 256 },
  };
  const sglang = { ...minimax, model: 'deepseek-r1', hardware: 'b200_sxm', backend: 'sglang' } as const;
  const trtllm = { ...sglang, backend: 'trtllm', date: '2025-11-02', concurrency: 16 } as const;

  test('attention is data-parallel where a run asks for it and its script heeds that', () => {
    const of = (run: Partial<Run>, gpus = 2): Layout =>
      startedAs({ ...minimax, gpus, layout: dpEp(gpus), ...run });
    expect(of({})).toEqual(dpEp(2));
    expect(of({ date: '2026-04-17' })).toEqual(tpEp(2));
    expect(of({ concurrency: 128 })).toEqual(tpEp(2));
    expect(of({ isl: 8192, concurrency: 512 })).toEqual(dpEp(2));
    expect(of({ isl: 8192, concurrency: 512, date: '2026-04-17' })).toEqual(tpEp(2));
    expect(of({}, 4)).toEqual(tpEp(4));
    expect(of({ precision: 'fp8' })).toEqual(tpEp(2));
    expect(of({ layout: tp(2) })).toEqual(tp(2));
    expect(of({ model: 'kimi-k2.5' }, 4)).toEqual(tp(4));
    expect(of({ hardware: 'h100_sxm', precision: 'fp8' }, 4)).toEqual(tpEp(4));
  });

  test('experts are divided where the script says so itself', () => {
    const of = (run: Partial<Run>, gpus: number): Layout =>
      startedAs({ ...trtllm, gpus, layout: tp(gpus), ...run });
    expect(of({ ...sglang, date: '2025-11-10' }, 8)).toEqual(tpEp(8));
    expect(of({}, 8)).toEqual(tpEp(8));
    expect(of({}, 4)).toEqual(tp(4));
    expect(of({ concurrency: 8 }, 8)).toEqual(tp(8));
    expect(of({ osl: 8192 }, 8)).toEqual(tp(8));
    expect(of({ isl: 8192, concurrency: 32 }, 8)).toEqual(tp(8));
    expect(of({ isl: 8192, concurrency: 64 }, 8)).toEqual(dpEp(8));
    expect(of({ concurrency: 256 }, 4)).toEqual(dpEp(4));
    expect(of({ precision: 'fp8', concurrency: 32 }, 8)).toEqual(tpEp(8));
    expect(of({ precision: 'fp8', concurrency: 64 }, 8)).toEqual(dpEp(8));
    expect(of({ model: 'gpt-oss-120b', hardware: 'h200_sxm' }, 2)).toEqual(tpEp(2));
  });

  test('what no script contradicts stays as it is given', () => {
    const layout: Layout = { attnTp: 1, attnDp: 4, moeTp: 4, ep: 1 };
    expect(startedAs({ ...trtllm, model: 'gpt-oss-120b', gpus: 4, layout })).toEqual(layout);
    expect(startedAs({ ...sglang, gpus: 4, layout: tp(4) })).toEqual(tp(4));
    expect(startedAs({ ...trtllm, date: '2026-02-03', gpus: 4, layout: dpEp(4) })).toEqual(dpEp(4));
  });

  test('no measurement of the table stands under two layouts', () => {
    const rows = leftOutRows();
    const near = (a: number, b: number): boolean => Math.abs(a / b - 1) < 3e-4;
    const twice = rows.flatMap((a, i) =>
      rows
        .slice(i + 1)
        .filter(
          (b) =>
            near(a.measured.tpotMs, b.measured.tpotMs) &&
            near(a.measured.ttftMs, b.measured.ttftMs) &&
            a.model === b.model &&
            a.gpus === b.gpus &&
            a.layout !== b.layout,
        ),
    );
    expect(twice).toEqual([]);
  });
});
