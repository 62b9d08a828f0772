/** The tables of a bench that fill in while it runs. */
import type { Signal } from '@preact/signals';
import { formatNs } from '../../core/units.ts';
import { Badge } from '../../report/html/parts.tsx';
import type { LiveRow } from '../protocol/reports.ts';
import { failures, families, rows, tiles, type FamilyRow } from '../state/bench.ts';

export function Tiles() {
  return (
    <ul class="tiles">
      {tiles.value.map(({ what, value, beside, source }) => (
        <li key={what}>
          <div class="what">{what}</div>
          <div class="value">{value}</div>
          <div class="beside">{beside}</div>
          {source && <Badge source={source} />}
        </li>
      ))}
    </ul>
  );
}

const shareText = (share: number): string =>
  Number.isFinite(share) ? share.toPrecision(3) : 'none: it did not run';

export function CheckTable({ list }: { readonly list: readonly FamilyRow[] }) {
  return (
    <div class="table" role="region" aria-label="Checks by family" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">family</th>
            <th scope="col" class="n">
              runs
            </th>
            <th scope="col" class="n">
              error / allowed
            </th>
            <th scope="col" class="spare">
              its worst case
            </th>
            <th scope="col">result</th>
          </tr>
        </thead>
        <tbody>
          {list.map(({ family, runs, failed, worstShare, worst }) => (
            <tr key={family}>
              <th scope="row">{family}</th>
              <td class="n">{runs}</td>
              <td class="n">{shareText(worstShare)}</td>
              <td class="spare">{worst}</td>
              <td>
                {failed === 0 ? <span class="good">✓ pass</span> : <b class="bad">✗ {failed} failed</b>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const STATES: Readonly<Record<LiveRow['state'], string>> = {
  waiting: 'checked ✓',
  running: '',
  measured: '',
  'too-fine': 'below clock',
  skipped: 'not measured',
  failed: '✗ failed',
};

function TimedRow({ row }: { readonly row: Signal<LiveRow> }) {
  const { family, name, variant, chosen, state, ns, rounds, reason } = row.value;
  const look = state === 'failed' ? 'bad' : state === 'skipped' || state === 'too-fine' ? 'open' : 'soft';
  return (
    <tr>
      <th scope="row">
        {family}: {name}
        {chosen && ' *'}
      </th>
      <td class="spare">{variant}</td>
      <td class="n">{ns === undefined ? <span class={look}>{STATES[state]}</span> : formatNs(ns)}</td>
      <td class="n">{rounds === 0 ? '' : rounds}</td>
      <td class="spare soft">{reason}</td>
    </tr>
  );
}

/** Rows in the order in which they were checked: while it runs nothing is sorted anew. */
export function TimeTable() {
  return (
    <div class="table" role="region" aria-label="Times of kernels" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">kernel, * is taken by default</th>
            <th scope="col" class="spare">
              variant
            </th>
            <th scope="col" class="n">
              time so far
            </th>
            <th scope="col" class="n">
              rounds
            </th>
            <th scope="col" class="spare">
              why not
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.value.map((row, i) => (
            <TimedRow key={i} row={row} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** More would bury the table; the whole result has all. A guess. */
const MOST_FAILURES = 8;

export function Failures() {
  const list = failures.value;
  if (list.length === 0) return null;
  return (
    <>
      <ul>
        {list.slice(0, MOST_FAILURES).map(({ family, name, variant, message }, i) => (
          <li key={i} class="bad">
            {family}, {name}, variant {variant}: {message.slice(0, 600)}
          </li>
        ))}
      </ul>
      {list.length > MOST_FAILURES && <p>{list.length - MOST_FAILURES} more failed.</p>}
    </>
  );
}

/** Checks, then times, while there is no whole result. */
export function Live() {
  return (
    <>
      {families.value.length > 0 && (
        <section aria-labelledby="live-checks">
          <h2 id="live-checks">
            Checks against float64 <Badge source="measured" />
          </h2>
          <CheckTable list={families.value} />
          <Failures />
        </section>
      )}
      {rows.value.length > 0 && (
        <section aria-labelledby="live-times">
          <h2 id="live-times">
            Times <Badge source="measured" />
          </h2>
          <TimeTable />
        </section>
      )}
    </>
  );
}
