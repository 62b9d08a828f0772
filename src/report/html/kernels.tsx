/** @jsxRuntime automatic @jsxImportSource preact */
/** Every kernel: its time, its samples, its share of the roof. */
import { formatNs, formatSi, roundPercent } from '../../core/units.ts';
import { summarise } from '../../measure/statistics.ts';
import type { StoredBenchResult } from '../file/schema.ts';
import { kernelName, type StoredKernel } from '../findings.ts';
import { Section, Table } from './parts.tsx';

type Samples = readonly number[];

export function Kernels({ result }: { readonly result: StoredBenchResult }) {
  return (
    <Section id="kernels" title={`Kernels (${result.kernels.length})`} source={result.sources.kernels}>
      <p class="soft">
        Median of the rounds and half of its 95 % interval. A strip has one mark per round between half and
        twice the median; ◂ and ▸ are rounds beyond. * is the variant taken by default, + the tuned one, ~
        stands beside a drift of the canary.
      </p>
      <Table
        label="Times of all kernels"
        columns={[
          { head: 'kernel' },
          { head: 'time', number: true },
          { head: '±', number: true, spare: true },
          { head: 'rate', number: true, spare: true },
          { head: 'roof', number: true },
          { head: 'rounds', spare: true },
        ]}
        rows={result.kernels.map((kernel) => ({ cells: cellsOf(kernel) }))}
      />
    </Section>
  );
}

const CHOICES = { default: ' *', tuned: ' +' } as const;

function cellsOf(kernel: StoredKernel) {
  const { timing, roof, choice, drift } = kernel;
  const name = `${kernelName(kernel)}${choice === undefined ? '' : CHOICES[choice]}`;
  if (timing.state === 'failed') return [name, <b class="bad">✗ failed</b>, '', '', '', timing.reason];
  if (timing.state === 'skipped') return [name, <b class="open">not measured</b>, '', '', '', timing.reason];
  if (timing.state === 'too-fine')
    return [name, 'below clock', '', '', '', `the clock steps by ${formatNs(timing.grainNs)}`];
  const { median, low, high } = summarise(timing.samplesNs);
  return [
    name,
    `${drift?.marked ? '~' : ''}${formatNs(median)}`,
    median === 0 ? '' : roundPercent((high - low) / 2 / median),
    rateText(kernel),
    roof === undefined ? '' : `${roundPercent(roof.share)} ${roof.binds === 'compute' ? '●' : '▲'}`,
    <Strip samples={timing.samplesNs} median={median} />,
  ];
}

/** FLOP/s where there is arithmetic worth the name, bytes/s where data only moves. */
function rateText({ flops, bytes, flopsPerSecond, bytesPerSecond }: StoredKernel): string {
  if (flopsPerSecond === undefined || bytesPerSecond === undefined) return '';
  return flops > 4 * bytes ? formatSi(flopsPerSecond, 'FLOP/s') : formatSi(bytesPerSecond, 'B/s');
}

/** Marks from half (left) to twice the median (right), evenly in ratio. */
function Strip({ samples, median }: { readonly samples: Samples; readonly median: number }) {
  if (median === 0) return null;
  const places = samples.map((ns) => 60 + 50 * Math.log2(ns / median));
  const within = places.filter((x) => x >= 10 && x <= 110);
  const marks = within.map((x) => `M${x.toFixed(1)} 2v10`).join('');
  const left = places.some((x) => x < 10) ? 'M7 3l-6 4l6 4z' : '';
  const right = places.some((x) => x > 110) ? 'M113 3l6 4l-6 4z' : '';
  return (
    <svg
      class="strip"
      viewBox="0 0 120 14"
      role="img"
      aria-label={`${samples.length} rounds, ${rangeText(samples)}`}
    >
      <path d={`M10 7h100${marks}`} stroke="currentColor" fill="none" stroke-opacity="0.7" />
      {(left || right) && <path d={left + right} fill="currentColor" />}
    </svg>
  );
}

function rangeText(samples: Samples): string {
  const { min, max } = summarise(samples);
  return `${formatNs(min)} to ${formatNs(max)}`;
}
