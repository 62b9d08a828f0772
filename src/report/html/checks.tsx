/** @jsxRuntime automatic @jsxImportSource preact */
/** What was checked, and how the numbers came about. */
import { failureText } from '../../bench/kernels/check.ts';
import { formatSi } from '../../core/units.ts';
import type { StoredBenchResult } from '../file/schema.ts';
import { Badge, Facts, Section, Table } from './parts.tsx';

const Mark = ({ pass }: { readonly pass: boolean }) =>
  pass ? <span class="good">✓ pass</span> : <b class="bad">✗ failed</b>;

export function Checks({ result }: { readonly result: StoredBenchResult }) {
  const { kernels, model, notRun } = result.checks;
  const failures = kernels.flatMap(({ family, failures: runs }) =>
    runs.map((run) => failureText(family, run)),
  );
  return (
    <Section id="checks" title="Checks" source="measured">
      <Table
        label="Checks of kernels by family"
        columns={[
          { head: 'family' },
          { head: 'cases', number: true },
          { head: 'runs', number: true },
          { head: 'worst error / allowed', number: true },
          { head: 'result' },
        ]}
        rows={kernels.map(({ family, cases, runs, failed, worstShare }) => ({
          cells: [
            family,
            cases,
            runs,
            worstShare === null ? 'none' : worstShare.toPrecision(3),
            <Mark pass={failed === 0} />,
          ],
        }))}
      />
      {failures.length > 0 && (
        <ul>
          {failures.map((text) => (
            <li class="bad">{text}</li>
          ))}
        </ul>
      )}
      {notRun > 0 && <p>{notRun} runs of variants that are not taken by default had no time left.</p>}
      {model?.error !== undefined && <p class="bad">{model.error}</p>}
      {model !== null && (
        <Table
          label="Checks of the model"
          columns={[
            { head: 'model' },
            { head: 'found', number: true },
            { head: 'allowed' },
            { head: 'result' },
          ]}
          rows={model.checks.map(({ what, who, against, found, limit, pass }) => ({
            cells: [`${what}, ${who} against ${against}`, found, limit, <Mark pass={pass} />],
          }))}
        />
      )}
    </Section>
  );
}

export function Method({ result }: { readonly result: StoredBenchResult }) {
  const { target, rounds, canary } = result;
  const { needs, assumptions } = target;
  return (
    <Section id="method" title="Method">
      <p>
        Every kernel is checked against float64 before it is timed; what fails has no time.{' '}
        {rounds !== null &&
          `Each row has one burst in each of ${rounds.count} rounds, in an order drawn anew, and a round is one sample. `}
        Intervals are of the median, 95 %, without an assumption on its distribution.
        {canary !== null &&
          ` A probe that never changes (${canary.what}) runs beside every burst and marks those that drifted.`}
      </p>
      <p>
        <Badge source="measured" /> is from a clock or a count of this run. <Badge source="modelled" /> is
        computed from the layout and formulas. <Badge source="assumed" /> was given. What the target needs is
        modelled:
      </p>
      <Facts
        facts={[
          ['model', target.preset],
          ['arithmetic', formatSi(needs.flopsPerSecond, 'FLOP/s per GPU')],
          [
            'memory',
            `${formatSi(needs.bytesPerSecond, 'B/s per GPU')}: weights ${formatSi(needs.weightBytesPerSecond, 'B/s')}, activations ${formatSi(needs.activationBytesPerSecond, 'B/s')}, keys and values ${formatSi(needs.kvBytesPerSecond, 'B/s')}`,
          ],
          [
            'assumed',
            `micro-batches of ${assumptions.tokensPerMicroBatch} tokens, ${assumptions.kvLength} positions of context, ${assumptions.tokensPerKvRead} tokens per pass over the keys, ${assumptions.bytesPerWeight} bytes per weight, ${assumptions.bytesPerActivation} per activation`,
          ],
        ]}
      />
    </Section>
  );
}
