/** The forward pass by stage and phase, sharded beside unsharded. */
import { stageTimes, type ForwardComparison, type ForwardTiming } from '../../bench/model/sharded.ts';
import { summarise } from '../../measure/statistics.ts';
import { sum } from '../../core/math.ts';
import { formatBytes, formatNs, formatNumber } from '../../core/units.ts';
import { PLAIN, type Style } from './style.ts';
import { drawTable, paragraph } from './table.ts';

/** A row per phase, a column per stage: medians over the profiled passes, all ranks of the stage added up. */
export function renderStages(forward: ForwardComparison, style: Style = PLAIN): string[] {
  const title = style.bold('Latency of stages (measured, GPU clock, median; all ranks of a stage added up)');
  const timing = forward.sharded;
  if (timing === undefined) return [title, '  none: the sharded pass failed its check', ''];
  if (timing.profiles.length === 0) return [title, '  none: the adapter has no timestamps', ''];
  const times = stageTimes(timing.profiles).map((time) => ({
    ...time,
    ns: summarise(time.samplesNs).median,
  }));
  const stages = [...new Set(times.map(({ stage }) => stage))];
  const phases = [...new Set(times.map(({ phase }) => phase))];
  const nsOf = (stage: string, phase: string): number | undefined =>
    times.find((time) => time.stage === stage && time.phase === phase)?.ns;
  const total = sum(times.map(({ ns }) => ns));
  const shown = stages.length <= 6 ? stages : [];
  const row = (phase: string): string[] => {
    const ns = sum(stages.map((stage) => nsOf(stage, phase) ?? 0));
    const cells = shown
      .map((stage) => nsOf(stage, phase))
      .map((value) => (value === undefined ? '' : formatNs(value)));
    return [phase, ...cells, formatNs(ns), `${Math.round((100 * ns) / total)}%`];
  };
  const ofStage = (stage: string): string =>
    formatNs(sum(times.filter((time) => time.stage === stage).map(({ ns }) => ns)));
  return [
    title,
    ...drawTable(
      [{ head: 'phase' }, ...[...shown, 'all', 'share'].map((head) => ({ head, align: 'right' as const }))],
      [...phases.map(row), ['all', ...shown.map(ofStage), formatNs(total), '100%']],
    ),
    '',
  ];
}

export function renderForward(forward: ForwardComparison, style: Style = PLAIN): string[] {
  const { sharded, unsharded, ratio, sequences, tokensPerSequence, logitsError } = forward;
  const title = style.bold(
    `Forward pass of ${sequences} sequences x ${tokensPerSequence} tokens (measured, host clock)`,
  );
  if (sharded === undefined || unsharded === undefined || ratio === undefined) {
    return [
      title,
      style.bad(`  FAILED: sharded logits differ by ${logitsError.toExponential(1)} of the largest`),
    ];
  }
  const row = (name: string, timing: ForwardTiming): string[] => {
    const { median, low, high, count } = summarise(timing.samplesNs);
    return [
      name,
      String(timing.worldSize),
      formatNs(median),
      `${formatNs(low)} to ${formatNs(high)}`,
      String(count),
      String(timing.dispatches),
      formatBytes(timing.liveBytes),
    ];
  };
  const heads = ['ranks', 'time', 'interval', 'samples', 'dispatches', 'memory'];
  return [
    title,
    ...drawTable(
      [{ head: '' }, ...heads.map((head) => ({ head, align: 'right' as const }))],
      [row('sharded', sharded), row('unsharded', unsharded)],
    ),
    ...paragraph(
      `Sharded takes ${formatNumber(ratio.median)} times as long on the same adapter, round by round ` +
        `${formatNumber(ratio.low)} to ${formatNumber(ratio.high)}; see the verdict. ` +
        `Host waits per MoE layer: ${formatNumber(sharded.hostSyncsPerLayer)}. ` +
        `Logits of both agree to ${logitsError.toExponential(1)} of the largest.`,
    ),
  ];
}
