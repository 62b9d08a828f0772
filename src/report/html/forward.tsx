/** @jsxRuntime automatic @jsxImportSource preact */
/** The forward pass: time by stage and phase, both forms side by side, memory. */
import { stageTimes } from '../../bench/model/sharded.ts';
import { sum } from '../../core/math.ts';
import { formatBytes, formatNs, formatNumber, roundPercent } from '../../core/units.ts';
import { summarise } from '../../measure/statistics.ts';
import { HUES } from '../../plots/hues.ts';
import { drawStages, phasesOf } from '../../plots/stages.ts';
import type { StoredBenchResult } from '../file/schema.ts';
import { Drawing, Section, Table } from './parts.tsx';

type Forward = NonNullable<StoredBenchResult['forward']>;

/** Nothing where no profile was taken. */
export function Stages({
  result,
  document,
}: {
  readonly result: StoredBenchResult;
  readonly document: Document;
}) {
  const profiles = result.forward?.sharded?.profiles ?? [];
  if (profiles.length === 0) return null;
  const parts = stageTimes(profiles).map(({ stage, phase, samplesNs }) => ({
    ...{ stage, phase, ns: summarise(samplesNs).median },
  }));
  const phases = phasesOf(parts);
  const total = sum(parts.map(({ ns }) => ns));
  const ofPhase = (phase: string): number =>
    sum(parts.filter((part) => part.phase === phase).map(({ ns }) => ns));
  return (
    <Section id="stages" title="Time by stage" source={result.sources.forward}>
      <Drawing
        document={document}
        label={`GPU time of ${new Set(parts.map(({ stage }) => stage)).size} stages by phase; the table below has the numbers.`}
        caption={`GPU time of one pass, median of ${profiles.length} profiled passes; all ranks of a stage added up, since one adapter plays them in turn.`}
        draw={(frame) => drawStages(frame, parts)}
      />
      <Table
        label="Phases of the pass"
        columns={[{ head: 'phase' }, { head: 'time', number: true }, { head: 'share', number: true }]}
        rows={phases.map((phase, i) => ({
          cells: [
            <>
              <span class="key">
                <span>
                  <b class={`hue-${(i % HUES) + 1}`}>{i + 1}</b> {phase}
                </span>
              </span>
            </>,
            formatNs(ofPhase(phase)),
            total === 0 ? '' : roundPercent(ofPhase(phase) / total),
          ],
        }))}
      />
    </Section>
  );
}

export function Pass({
  forward,
  source,
}: {
  readonly forward: Forward;
  readonly source: 'measured' | 'modelled' | 'assumed';
}) {
  const { sharded, unsharded, sequences, tokensPerSequence, logitsError } = forward;
  const timings = [
    ...(sharded === undefined ? [] : [['sharded', sharded] as const]),
    ...(unsharded === undefined ? [] : [['one rank', unsharded] as const]),
  ];
  return (
    <Section id="pass" title="The whole pass, and its memory" source={source}>
      <p>
        {sequences} sequences of {tokensPerSequence} tokens, host clock.{' '}
        {logitsError === null
          ? 'Logits of both forms could not be compared.'
          : `Logits of both forms differ by ${logitsError.toExponential(1)} of the largest.`}
      </p>
      <Table
        label="The pass on all ranks and on one"
        columns={[
          { head: 'form' },
          { head: 'ranks', number: true },
          { head: 'time', number: true },
          { head: '95 % interval', number: true, spare: true },
          { head: 'dispatches', number: true, spare: true },
          { head: 'host waits per layer', number: true, spare: true },
          { head: 'memory', number: true },
          { head: 'predicted', number: true, spare: true },
        ]}
        rows={timings.map(([name, timing]) => {
          const { median, low, high } = summarise(timing.samplesNs);
          return {
            cells: [
              name,
              timing.worldSize,
              formatNs(median),
              `${formatNs(low)} to ${formatNs(high)}`,
              timing.dispatches,
              formatNumber(timing.hostSyncsPerLayer),
              formatBytes(timing.liveBytes),
              formatBytes(timing.predictedBytes),
            ],
          };
        })}
      />
      <p class="soft">
        Memory is what all ranks hold on the one adapter that plays them, by its ledger; predicted: from the
        layout.
      </p>
    </Section>
  );
}
