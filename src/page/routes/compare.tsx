/** Two sides of result files, of Node or of Chrome: which rows differ by more than chance explains. */
import { signal, useSignal, type Signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { printable } from '../../core/text/printable.ts';
import { readResult } from '../../report/file/result-file.ts';
import { ComparisonNotes, ComparisonTable } from '../../report/html/comparison-table.tsx';
import { Badge } from '../../report/html/parts.tsx';
import { Drop, type Given } from '../parts/drop.tsx';
import { Ending } from '../parts/job-bar.tsx';
import type { OutcomeOf } from '../protocol/reports.ts';
import { keptResult, resultNames, type KeptResult } from '../state/kept.ts';
import { isRunning, run, start } from '../state/session.ts';

/** A result of a full bench has a few hundred kB. A guess. */
const MOST_BYTES = 32 * 2 ** 20;

const a = signal<readonly KeptResult[]>([]);
const b = signal<readonly KeptResult[]>([]);

export function CompareRoute() {
  const kept = useSignal<readonly string[]>([]);
  useEffect(() => void resultNames().then((names) => (kept.value = names)), []);
  const outcome = run.value?.outcome;
  return (
    <>
      <p>
        Result files of <code>moebius bench</code>, or of this page: A before, B after. Nothing of them leaves
        this browser.
      </p>
      <div class="two">
        <Side name="A" side={a} kept={kept.value} />
        <Side name="B" side={b} kept={kept.value} />
      </div>
      <p class="buttons">
        <button
          type="button"
          class="main"
          disabled={isRunning.value || a.value.length === 0 || b.value.length === 0}
          onClick={() => start({ kind: 'compare', a: [...a.value], b: [...b.value] })}
        >
          Compare
        </button>
      </p>
      <Ending kinds={['compare']} />
      {outcome?.kind === 'compare' && <Found found={outcome.found} />}
    </>
  );
}

function Side(props: {
  readonly name: string;
  readonly side: Signal<readonly KeptResult[]>;
  readonly kept: readonly string[];
}) {
  const { name, side, kept } = props;
  const take = async (files: readonly Given[]): Promise<void> => {
    const read: KeptResult[] = [];
    for (const { file } of files) {
      const bytes = new Uint8Array(await file.arrayBuffer());
      // Refused here, where it was dropped, with what is wrong.
      readResult(bytes, printable(file.name.slice(0, 80)));
      read.push({ name: printable(file.name.slice(0, 80)), bytes });
    }
    side.value = [...side.value, ...read];
  };
  return (
    <Drop
      label={`${name}: drop result files here, or choose them`}
      mostBytes={MOST_BYTES}
      accept=".json,application/json"
      take={take}
    >
      {kept.length > 0 && (
        <label class="field">
          <span class="label">or one that this browser keeps, for {name}</span>
          <select
            value=""
            onChange={({ currentTarget }) => {
              void keptResult(currentTarget.value).then((found) => {
                if (found) side.value = [...side.value, found];
              });
              currentTarget.value = '';
            }}
          >
            <option value="">choose</option>
            {kept.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
      )}
      {side.value.length > 0 && (
        <ul>
          {side.value.map((one, i) => (
            <li key={i}>
              {one.name}{' '}
              <button
                type="button"
                aria-label={`Take ${one.name} out of ${name}`}
                onClick={() => (side.value = side.value.filter((_, j) => j !== i))}
              >
                ✕
              </button>
            </li>
          ))}
        </ul>
      )}
    </Drop>
  );
}

function Found({ found }: { readonly found: OutcomeOf<'compare'>['found'] }) {
  const { rows } = found;
  const count = (word: (typeof rows)[number]['word']): number =>
    rows.filter((row) => row.word === word).length;
  return (
    <section aria-labelledby="found">
      <h2 id="found">
        B beside A <Badge source="measured" />
      </h2>
      <p>
        {rows.length} rows: {count('slower')} slower, {count('faster')} faster, {count('same')} the same,{' '}
        {count('ambiguous')} ambiguous.{' '}
        {found.weak &&
          'Weak: with fewer than 5 runs a side, rounds of one run are taken for independent, which they are not.'}
        <ComparisonNotes found={found} />
      </p>
      <ComparisonTable rows={rows} />
    </section>
  );
}
