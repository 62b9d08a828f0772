/** The bench, or some of its rows: the same as `moebius bench --quick`, told as it goes. */
import type { BenchLive } from '../../../bench/live.ts';
import { runBench } from '../../../bench/run.ts';
import type { BenchResult } from '../../../bench/result.ts';
import type { Gpu } from '../../../gpu/gpu.ts';
import { planLayout } from '../../../layout/layout.ts';
import { parseLayout } from '../../../layout/spec.ts';
import { formatResult } from '../../../report/file/result-file.ts';
import { formatNumber, formatSi } from '../../../core/units.ts';
import { bandwidthFor, peakFlopsPerSecond } from '../../../bench/ceilings/roofline.ts';
import type { JobOf } from '../../protocol/jobs.ts';
import type { OutcomeOf, Tile } from '../../protocol/reports.ts';
import type { JobContext } from '../context.ts';
import { bundledModel } from '../models.ts';

export async function benchJob(job: JobOf<'bench'>, context: JobContext): Promise<OutcomeOf<'bench'>> {
  const { families, kernels } = job;
  const withModel = families.length === 0 && kernels.length === 0;
  const gpu = await context.openGpu();
  return { kind: 'bench', file: await benchFile(gpu, { ...job, withModel }, context) };
}

export interface Asked {
  readonly layout: string;
  readonly seconds: number;
  readonly families: readonly string[];
  readonly kernels: readonly string[];
  readonly withModel: boolean;
}

/** The bytes of the result file. */
export async function benchFile(
  gpu: Gpu,
  asked: Asked,
  context: JobContext,
): Promise<Uint8Array<ArrayBuffer>> {
  const layout = parseLayout(asked.layout);
  const inputs = await context.steps.step('Fetch the model', (say) => bundledModel(context.base, say));
  planLayout(layout, inputs.model.config);
  const result: BenchResult = await runBench(gpu, {
    ...{ ...inputs, layout, quick: true, seconds: asked.seconds, withModel: asked.withModel },
    only: { families: asked.families, kernels: asked.kernels },
    ...{ versions: context.versions, commit: null, progress: context.steps, live: liveTo(context) },
  });
  return new TextEncoder().encode(formatResult(result));
}

function liveTo({ tell }: JobContext): BenchLive {
  const tiles = new Map<string, Tile>();
  const tile = (what: string, value: string, beside: string): void => {
    tiles.set(what, { what, value, beside, source: 'measured' });
    tell({ tiles: [...tiles.values()] });
  };
  let [runs, failed] = [0, 0];
  return {
    checked: ({ family, name, variant, pass, worstShare, message }) => {
      runs += 1;
      if (!pass) failed += 1;
      tile(
        'checks',
        failed === 0 ? `${runs} pass` : `${failed} failed`,
        `${runs} kernel runs against float64`,
      );
      tell({ cases: [{ family, name, variant, pass, worstShare, message }] });
    },
    ceilings: (found) => {
      const [peak, memory] = [peakFlopsPerSecond(found), bandwidthFor(found, Infinity)];
      if (peak === undefined) return;
      const beside = memory === undefined ? '' : `; ${formatSi(memory, 'B/s')} of main memory`;
      tile('peak of this adapter', formatSi(peak, 'FLOP/s'), `f32 multiply-add${beside}`);
    },
    model: ({ model, pass, checks, worldSize }) => {
      const text = pass ? 'equal' : 'FAILED';
      tile(`${worldSize} ranks and one`, text, `${checks.length} checks of ${model}`);
    },
    forward: ({ ratio, sharded }) => {
      if (ratio === undefined) return;
      const beside = `${formatNumber(ratio.low)} to ${formatNumber(ratio.high)}, ${ratio.count} rounds`;
      tile(`${sharded?.worldSize ?? 'all'} ranks beside one`, `${formatNumber(ratio.median)} times`, beside);
    },
    row: (row) => tell({ rows: [row] }),
  };
}
