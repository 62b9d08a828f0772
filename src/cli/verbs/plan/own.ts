/** `moebius accuracy --own`: how far steps of our own engine are off when they are told from kernels alone. */
import { CheckError, ConfigError } from '../../../core/errors.ts';
import { at } from '../../../core/math.ts';
import { formatNs, formatPercent } from '../../../core/units.ts';
import { fitSteps, type StepModel } from '../../../planner/own/step-model.ts';
import type { AdapterFacts } from '../../../platform/platform.ts';
import { measureSteps, shapeName, type OwnMemory, type StepShape } from '../../../profile/own-steps.ts';
import { drawTable, paragraph } from '../../../report/terminal/table.ts';
import type { Style } from '../../../report/terminal/style.ts';
import { SILENT, type Progress } from '../../../bench/progress.ts';
import { loadModel, TINY_MOE } from '../../model.ts';
import { withGpu, type SessionOptions } from '../../session.ts';

/** Layouts and batches that the curves are fitted to. None is asked for afterwards. */
const CALIBRATION: readonly string[] = [
  'ep=1',
  'ep=8',
  'ep=4,tp=4',
  'ep=16,tp=2',
  'ep=2,pp=4,tp=2',
  'ep=8,pp=2,tp=4',
  'ep=2,dp=4',
  'ep=16,pp=2,dp=2',
];
const CALIBRATION_SHAPES: readonly StepShape[] = [
  { sequences: 4, tokens: 8, step: 'prefill' },
  { sequences: 16, tokens: 24, step: 'prefill' },
  { sequences: 6, tokens: 40, step: 'prefill' },
  { sequences: 2, tokens: 96, step: 'prefill' },
  { sequences: 8, tokens: 16, step: 'decode' },
  { sequences: 32, tokens: 32, step: 'decode' },
  { sequences: 12, tokens: 48, step: 'decode' },
];

const JUDGED: readonly string[] = [
  'ep=2',
  'ep=4',
  'ep=8,tp=2',
  'ep=16,tp=8',
  'ep=2,pp=2',
  'ep=4,pp=2,tp=2',
  'ep=8,pp=4,tp=4',
  'ep=16,pp=4,tp=2,dp=2',
  'ep=4,dp=2',
  'ep=8,pp=2,tp=2,dp=2',
];
const JUDGED_SHAPES: readonly StepShape[] = [
  { sequences: 8, tokens: 16, step: 'prefill' },
  { sequences: 4, tokens: 64, step: 'prefill' },
  { sequences: 16, tokens: 24, step: 'decode' },
];

export interface OwnRow {
  readonly layout: string;
  readonly shape: string;
  /** The fastest of 6 to 15 steps without instruments. */
  readonly measuredNs: number;
  /** From kernels of other layouts and batches. */
  readonly predictedNs: number;
  /** predicted / measured - 1. */
  readonly error: number;
}

export interface OwnReport {
  readonly adapter: AdapterFacts;
  readonly model: string;
  readonly calibration: { readonly layouts: readonly string[]; readonly shapes: readonly string[] };
  readonly curves: Pick<StepModel, 'curves' | 'curveError' | 'overhead'>;
  readonly rows: readonly OwnRow[];
  /** Of the engines of all layouts, and whether each takes what its lists say, to the byte. */
  readonly memory: readonly OwnMemory[];
  readonly memoryIsExact: boolean;
  /** Of |error|. */
  readonly median: number;
  readonly p90: number;
  readonly most: number;
  /** Share of the rows within 10 %. */
  readonly withinTenPercent: number;
}

/** Over all steps, calibration and judged ones mixed. */
const ROUNDS = 5;

/**
 * Times the kernels of eight layouts one by one, fits curves and overheads, and predicts whole steps of ten other layouts with
 * other batches.
 * @throws ConfigError on an adapter without timestamps.
 */
export async function ownAccuracy(
  options: SessionOptions & { readonly progress?: Progress; readonly rounds?: number },
): Promise<OwnReport> {
  const { progress = SILENT, rounds = ROUNDS } = options;
  const model = await loadModel(TINY_MOE);
  return withGpu(options, async (gpu) => {
    if (!gpu.has('timestamp-query')) {
      throw new ConfigError(
        `${gpu.facts.name} has no timestamps, so kernels cannot be timed one by one. Choose another adapter.`,
      );
    }
    const { steps, memory } = await progress.step('Steps of 18 layouts', (say) =>
      measureSteps(
        gpu,
        model,
        [
          { layouts: CALIBRATION, shapes: CALIBRATION_SHAPES, timed: true },
          { layouts: JUDGED, shapes: JUDGED_SHAPES, timed: false },
        ],
        rounds,
        say,
      ),
    );
    const [calibration = [], judged = []] = steps;
    const fitted = fitSteps(calibration);
    const rows = judged.map(({ layout, shape, kernels, wallNs }): OwnRow => {
      const predictedNs = fitted.predict(kernels);
      const error = predictedNs / wallNs - 1;
      return { layout, shape: shapeName(shape), measuredNs: wallNs, predictedNs, error };
    });
    const errors = rows.map(({ error }) => Math.abs(error)).sort((a, b) => a - b);
    if (!errors.every((error) => Number.isFinite(error))) throw new CheckError('a prediction is not finite');
    const rank = (share: number): number => at(errors, Math.ceil(share * errors.length) - 1);
    return {
      adapter: gpu.facts,
      model: model.config.name,
      calibration: { layouts: CALIBRATION, shapes: CALIBRATION_SHAPES.map(shapeName) },
      curves: { curves: fitted.curves, curveError: fitted.curveError, overhead: fitted.overhead },
      rows,
      memory,
      memoryIsExact: memory.every(({ predictedBytes, liveBytes }) => predictedBytes === liveBytes),
      ...{ median: rank(0.5), p90: rank(0.9), most: rank(1) },
      withinTenPercent: errors.filter((error) => error <= 0.1).length / errors.length,
    };
  });
}

function memoryText({ memory, memoryIsExact }: OwnReport): string {
  if (memoryIsExact)
    return `Memory: the engines of all ${memory.length} layouts take what their lists say, to the byte.`;
  const off = memory.filter(({ predictedBytes, liveBytes }) => predictedBytes !== liveBytes);
  const each = off.map((one) => `${one.layout} ${one.liveBytes} for ${one.predictedBytes} bytes`);
  return `Memory is not what the lists say: ${each.join(', ')}.`;
}

export function renderOwn(report: OwnReport, style: Style): string[] {
  const { rows, curves, calibration } = report;
  const { stepNs, dispatchNs, perKernelNs } = curves.overhead;
  const right = 'right' as const;
  return [
    style.bold(`Steps of ${report.model} on ${report.adapter.name}, told from kernels alone`),
    ...drawTable(
      [
        { head: 'layout', least: 20 },
        { head: 'batch' },
        ...['measured', 'predicted', 'error'].map((head) => ({ head, align: right })),
      ],
      rows.map(({ layout, shape, measuredNs, predictedNs, error }) => [
        layout,
        shape,
        formatNs(measuredNs),
        formatNs(predictedNs),
        `${error > 0 ? '+' : ''}${formatPercent(error)}`,
      ]),
      style.width,
    ),
    '',
    ...paragraph(
      `Error: median ${formatPercent(report.median)}, p90 ${formatPercent(report.p90)}, most ${formatPercent(report.most)}; ` +
        `${formatPercent(report.withinTenPercent)} of the steps within 10 %.`,
      '',
    ),
    ...paragraph(
      `${curves.curves} kernels have a curve, median error ${formatPercent(curves.curveError)} where they were fitted: ` +
        `${calibration.layouts.length} other layouts with ${calibration.shapes.length} other batches. Beyond its kernels a step takes ` +
        `${formatNs(stepNs)} and ${formatNs(dispatchNs)} a dispatch; a ns of kernels, each in a pass of its own, is ` +
        `${perKernelNs.toFixed(2)} ns of a step.`,
    ),
    ...paragraph(memoryText(report)),
  ];
}
