/** A whole result: what the report says of it, in the same words, and the files that can be had of it. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { formatBytes, formatSi } from '../../core/units.ts';
import { messageOf } from '../../core/errors.ts';
import { peakOf, slopesOf } from '../../report/findings.ts';
import type { StoredBenchResult } from '../../report/file/schema.ts';
import { Checks } from '../../report/html/checks.tsx';
import { LookHere, Verdict } from '../../report/html/first-screen.tsx';
import { Kernels } from '../../report/html/kernels.tsx';
import { Badge } from '../../report/html/parts.tsx';
import type { Shown } from '../state/bench.ts';
import { trouble } from '../state/session.ts';
import { Plot, saveFile } from './basics.tsx';

export function WholeResult({ shown }: { readonly shown: Shown }) {
  const { result } = shown;
  return (
    <>
      <Verdict result={result} />
      <SaveBar shown={shown} />
      <LookHere result={result} />
      <RooflineSection result={result} />
      <Kernels result={result} />
      <Checks result={result} />
    </>
  );
}

export function SaveBar({ shown }: { readonly shown: Shown }) {
  const { bytes, result, name } = shown;
  const saveReport = async (): Promise<void> => {
    try {
      const { renderReport } = await import('../../report/html/page.tsx');
      const html = await renderReport({ result, label: name }, document);
      saveFile(name.replace(/\.json$/, '.html'), html, 'text/html');
    } catch (error) {
      trouble.value = `the report could not be written: ${messageOf(error)}`;
    }
  };
  return (
    <p class="buttons">
      <button type="button" onClick={() => saveFile(name, bytes, 'application/json')}>
        Save JSON
      </button>
      <button type="button" onClick={() => void saveReport()}>
        Save HTML report
      </button>
      <span class="soft">
        {name}, {formatBytes(bytes.byteLength)}: what moebius compare and report take.
      </span>
    </p>
  );
}

type Draw = typeof import('../../plots/roofline.ts').drawRoofline;

export function RooflineSection({ result }: { readonly result: StoredBenchResult }) {
  const draw = useSignal<Draw | undefined>(undefined);
  useEffect(() => {
    void import('../../plots/roofline.ts').then(({ drawRoofline }) => (draw.value = drawRoofline));
  }, []);
  const peak = peakOf(result);
  const slopes = slopesOf(result).map(({ footprintBytes, bytesPerSecond }) => ({
    ...{ name: formatBytes(footprintBytes), bytesPerSecond },
  }));
  const drawn = result.kernels.flatMap(({ flops, bytes, flopsPerSecond = 0, roof }) =>
    roof !== undefined && bytes > 0 && flops > 0 && flopsPerSecond > 0
      ? [{ intensity: flops / bytes, rate: flopsPerSecond, binds: roof.binds }]
      : [],
  );
  const drawRoofline = draw.value;
  return (
    <section aria-labelledby="roofline">
      <h2 id="roofline">
        Measured roofline <Badge source="measured" />
      </h2>
      {peak === undefined || slopes.length === 0 ? (
        <p>There is none: a probe that it needs has no value on this adapter.</p>
      ) : (
        <figure>
          {drawRoofline && (
            <Plot
              of={result}
              label={`${drawn.length} kernels under a peak of ${formatSi(peak, 'FLOP/s')}; the table of kernels has every number.`}
              draw={(frame) => drawRoofline(frame, { peak, slopes, rows: drawn })}
            />
          )}
          <figcaption>
            ● compute binds, ▲ bandwidth binds. Flat: the peak of {formatSi(peak, 'FLOP/s')}; slopes:{' '}
            {slopes
              .map(({ name, bytesPerSecond }) => `${name} ${formatSi(bytesPerSecond, 'B/s')}`)
              .join(', ')}
            .
          </figcaption>
        </figure>
      )}
    </section>
  );
}
