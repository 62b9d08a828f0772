/** The correctness suite, with the worst case of each family, and the model on all ranks beside one. */
import { batch, signal, useSignal } from '@preact/signals';
import { Badge, Section, Table } from '../../report/html/parts.tsx';
import { CheckTable } from '../parts/bench-tables.tsx';
import { Field } from '../parts/basics.tsx';
import { Ending, Steps } from '../parts/job-bar.tsx';
import { axesOf, LayoutField, layoutOfPlace } from '../parts/layout-field.tsx';
import type { CaseRun } from '../protocol/reports.ts';
import { withCases, type FamilyRow } from '../state/bench.ts';
import { keepAddress, place } from '../state/links.ts';
import { adapter, isRunning, onProgress, run, start } from '../state/session.ts';

const checked = signal<readonly FamilyRow[]>([]);
const kernels = signal<readonly FamilyRow[]>([]);
const wrong = signal<readonly CaseRun[]>([]);

onProgress(({ cases }, { job }) => {
  if (job.kind !== 'validate' || cases === undefined) return;
  checked.value = withCases(checked.value, cases);
  kernels.value = withCases(
    kernels.value,
    cases.map((one) => ({ ...one, family: `${one.family} / ${one.variant}`, variant: 'default' })),
  );
  const failed = cases.filter(({ pass }) => !pass);
  if (failed.length > 0) wrong.value = [...wrong.value, ...failed];
});

export function ValidateRoute() {
  const layout = useSignal(layoutOfPlace());
  const family = useSignal(String(place.value.query['family'] ?? ''));
  const quick = useSignal(place.value.query['quick'] !== '0');
  const open = adapter.value;
  const names = open.state === 'open' ? open.found.families.map(({ name }) => name) : [];
  const begin = (): void => {
    keepAddress('validate', {
      ...axesOf(layout.value),
      ...{ family: family.value, quick: quick.value ? undefined : '0' },
    });
    batch(() => {
      checked.value = kernels.value = [];
      wrong.value = [];
    });
    start({
      ...{ kind: 'validate', quick: quick.value, layout: layout.value },
      ...(family.value !== '' && { family: family.value }),
    });
  };
  const outcome = run.value?.outcome;
  const model = outcome?.kind === 'validate' ? outcome.model : null;
  return (
    <>
      <div class="fields">
        <Field label="kernels of">
          <select value={family.value} onChange={({ currentTarget }) => (family.value = currentTarget.value)}>
            <option value="">all families, and the model</option>
            {names.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </Field>
        <Field label="cases">
          <select
            value={quick.value ? '1' : '0'}
            onChange={({ currentTarget }) => (quick.value = currentTarget.value === '1')}
          >
            <option value="1">those that take seconds</option>
            <option value="0">all, for minutes</option>
          </select>
        </Field>
        <LayoutField text={layout} id="validate" />
      </div>
      <p class="buttons">
        <button
          type="button"
          class="main"
          disabled={isRunning.value || open.state !== 'open'}
          onClick={begin}
        >
          Validate
        </button>
        <span class="soft">
          Every variant of every kernel against float64, under a budget that is derived.
        </span>
      </p>
      <Ending kinds={['validate']} />
      <Steps kinds={['validate']} />
      {checked.value.length > 0 && (
        <section aria-labelledby="by-family">
          <h2 id="by-family">
            By family <Badge source="measured" />
          </h2>
          <CheckTable list={checked.value} />
          {wrong.value.length > 0 && (
            <ul>
              {wrong.value.slice(0, 8).map(({ family: of, name, variant, message }, i) => (
                <li key={i} class="bad">
                  {of}, {name}, variant {variant}: {message.slice(0, 600)}
                </li>
              ))}
            </ul>
          )}
        </section>
      )}
      {model !== null && (
        <Section
          id="model"
          title={`${model.model} on ${model.worldSize} ranks, and on one`}
          source="measured"
        >
          {model.error !== undefined && <p class="bad">{model.error}</p>}
          <Table
            label="Checks of the model"
            columns={[
              { head: 'what' },
              { head: 'found', number: true },
              { head: 'allowed' },
              { head: 'result' },
            ]}
            rows={model.checks.map(({ what, who, against, found, limit, pass }) => ({
              cells: [
                `${what}, ${who} against ${against}`,
                found,
                limit,
                pass ? <span class="good">✓ pass</span> : <b class="bad">✗ failed</b>,
              ],
            }))}
          />
        </Section>
      )}
      {kernels.value.length > 0 && (
        <details open>
          <summary>Every kernel with its worst case ({kernels.value.length})</summary>
          <CheckTable list={kernels.value} />
        </details>
      )}
    </>
  );
}
