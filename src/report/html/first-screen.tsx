/** @jsxRuntime automatic @jsxImportSource preact */
/** What is seen first: the verdict, five numbers, where to look, and what this run was. */
import { maxOf } from '../../core/math.ts';
import { formatNs, roundPercent } from '../../core/units.ts';
import { OTHERS_LIMIT, STEAL_LIMIT } from '../../measure/load.ts';
import type { StoredBenchResult } from '../file/schema.ts';
import { kernelName, recoverable, softwareWarning, tilesOf, verdictSentence } from '../findings.ts';
import { Badge, Bar, Facts, Section, Table } from './parts.tsx';

const MARKS = {
  pass: { sign: '✓', word: 'PASS', look: 'good' },
  failed: { sign: '✗', word: 'FAILED', look: 'bad' },
  incomplete: { sign: '…', word: 'INCOMPLETE', look: 'open' },
} as const;

export function Verdict({ result }: { readonly result: StoredBenchResult }) {
  const { sign, word, look } = MARKS[result.verdict.outcome];
  const warning = softwareWarning(result);
  return (
    <>
      <p class="verdict">
        <b class={look}>
          <span aria-hidden="true">{sign}</span> {word}
        </b>{' '}
        {verdictSentence(result)}
      </p>
      {warning !== undefined && (
        <p class="warning">
          <b>
            <span aria-hidden="true">⚠</span> Not a GPU:
          </b>{' '}
          {warning}
        </p>
      )}
      <ul class="tiles">
        {tilesOf(result).map(({ what, value, beside, source }) => (
          <li>
            <div class="what">{what}</div>
            <div class="value">{value}</div>
            <div class="beside">{beside}</div>
            {source && <Badge source={source} />}
          </li>
        ))}
      </ul>
    </>
  );
}

/** How many rows are worth a first look. */
const FIRST = 8;

export function LookHere({ result }: { readonly result: StoredBenchResult }) {
  const rows = recoverable(result);
  const most = maxOf(
    rows.map(({ recoverableNs }) => recoverableNs),
    0,
  );
  return (
    <Section id="look" title="Look here first" source="measured">
      {rows.length === 0 ? (
        <p>No kernel has both a time and a measured roof, so nothing can be ranked.</p>
      ) : (
        <>
          <p class="soft">
            Recoverable is time × (1 − share of the measured roof): what one run of that row would win at the
            roof. Rows are cases of ops, not weighed by how often a model runs them; internal parts are with
            all kernels below.
          </p>
          <Table
            label="Kernels by recoverable time"
            columns={[
              { head: 'kernel' },
              { head: 'time', number: true },
              { head: 'of roof', number: true },
              { head: 'recoverable', number: true },
              { head: 'beside the first', spare: true },
            ]}
            rows={rows.slice(0, FIRST).map(({ kernel, ns, share, recoverableNs }) => ({
              cells: [
                kernelName(kernel),
                formatNs(ns),
                roundPercent(share),
                formatNs(recoverableNs),
                <Bar share={most === 0 ? 0 : recoverableNs / most} />,
              ],
            }))}
          />
        </>
      )}
    </Section>
  );
}

export function ThisRun({ result, label }: { readonly result: StoredBenchResult; readonly label: string }) {
  const { adapter, commit, versions, load, clock, quick, layout, model, wallNs, cold, tuning, rounds } =
    result;
  const { facts } = adapter;
  const { name, driver, kind } = facts;
  return (
    <Section id="run" title="This run">
      <Facts
        facts={[
          ['file', label],
          ['adapter', `${name}: ${KINDS[kind]}`],
          ...(facts.kernels === undefined
            ? []
            : [['kernels', `those of a ${facts.kernels} adapter, as asked for`] as const]),
          ['driver', driver === '' ? 'not told' : driver],
          ['date', result.date],
          ['commit', commit ?? 'not of a checkout'],
          ['what', `bench${quick ? ' --quick' : ''}: ${model} on ${layout}, ${formatNs(wallNs)} in all`],
          ['rounds', roundsText(rounds)],
          ['inputs', cold === null ? 'warm' : `cold (${cold.note})`],
          ['clock', clock.note],
          ['tuning', tuning === null ? 'not looked for' : tuning.note.replace(/^tuning: /, '')],
          ['load', loadText(load)],
          [
            'versions',
            Object.entries(versions)
              .map((pair) => pair.join(' '))
              .join(', '),
          ],
        ]}
      />
    </Section>
  );
}

function roundsText(rounds: StoredBenchResult['rounds']): string {
  return rounds === null
    ? 'none: samples of a row lie side by side (version 1 of the file)'
    : `${rounds.count}, order drawn anew in each (seed ${rounds.seed})`;
}

const KINDS = {
  gpu: 'a GPU',
  software: 'software, a CPU plays the GPU',
  'embedded-software': 'software that comes with the package, a CPU plays the GPU',
  unknown: 'of a kind that it does not tell',
} as const;

function loadText(load: StoredBenchResult['load']): string {
  if (load === null) return 'not told by this platform';
  const { cores, othersShare, stealShare } = load;
  const steal = stealShare === null ? '' : `, other machines ${roundPercent(stealShare)}`;
  const busy = othersShare > OTHERS_LIMIT || (stealShare ?? 0) > STEAL_LIMIT;
  return (
    `other processes took ${roundPercent(othersShare)} of ${cores} cores${steal}` +
    (busy ? '. A BUSY MACHINE: times are of it, run it again on a quiet one' : '')
  );
}
