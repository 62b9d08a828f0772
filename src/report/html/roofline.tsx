/** @jsxRuntime automatic @jsxImportSource preact */
/** The measured roofline, drawn, and what it is made of. */
import { formatBytes, formatSi } from '../../core/units.ts';
import { drawRoofline } from '../../plots/roofline.ts';
import type { StoredBenchResult } from '../file/schema.ts';
import { peakOf, slopesOf } from '../findings.ts';
import { Drawing, Section, Table } from './parts.tsx';

export function Roofline({
  result,
  document,
}: {
  readonly result: StoredBenchResult;
  readonly document: Document;
}) {
  const peak = peakOf(result);
  const slopes = slopesOf(result).map(({ footprintBytes, bytesPerSecond }) => ({
    ...{ name: formatBytes(footprintBytes), bytesPerSecond },
  }));
  const rows = result.kernels.flatMap(({ chosen, flops, bytes, flopsPerSecond = 0, roof }) =>
    chosen && roof !== undefined && bytes > 0 && flops > 0 && flopsPerSecond > 0
      ? [{ intensity: flops / bytes, rate: flopsPerSecond, binds: roof.binds }]
      : [],
  );
  return (
    <Section id="roofline" title="Measured roofline" source={result.sources.ceilings}>
      {peak === undefined || slopes.length === 0 ? (
        <p>There is none: a probe that it needs has no value.</p>
      ) : (
        <Drawing
          document={document}
          label={`${rows.length} kernels under a peak of ${formatSi(peak, 'FLOP/s')}; the table of kernels has every number.`}
          caption={
            `● compute binds, ▲ bandwidth binds. The flat line is the peak, each slope the bandwidth of a working set ` +
            `(${slopes.map(({ name, bytesPerSecond }) => `${name}: ${formatSi(bytesPerSecond, 'B/s')}`).join('; ')}). ` +
            'FLOP and bytes are what an operation needs at least. Rows without arithmetic are left out.'
          }
          draw={(frame) => drawRoofline(frame, { peak, slopes, rows })}
        />
      )}
      <h3>Ceilings</h3>
      <Table
        label="Ceilings of this adapter"
        columns={[
          { head: 'what' },
          { head: 'working set', number: true },
          { head: 'most', number: true },
          { head: 'how', spare: true },
        ]}
        rows={result.ceilings.map((ceiling) => ({
          cells: [
            ceiling.name,
            ceiling.footprintBytes === undefined ? '' : formatBytes(ceiling.footprintBytes),
            ceiling.state === 'measured' ? formatSi(ceiling.value, ceiling.unit) : ceiling.state,
            ceiling.state === 'measured' ? (ceiling.form ?? '') : ceiling.reason,
          ],
        }))}
      />
    </Section>
  );
}
