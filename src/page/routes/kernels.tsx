/** Kernels by family, variant and shape, under the measured roof; and one of the user's own beside them. */
import { useSignal } from '@preact/signals';
import { clearBench, isEmpty, shown } from '../state/bench.ts';
import { keepAddress, place } from '../state/links.ts';
import { adapter, isRunning, run, start } from '../state/session.ts';
import { Field, Message, NumberField } from '../parts/basics.tsx';
import { Live, Tiles } from '../parts/bench-tables.tsx';
import { Ending, Steps } from '../parts/job-bar.tsx';
import { OwnKernel } from '../parts/own-kernel.tsx';
import { formatLayout, CARD_LAYOUT } from '../../layout/spec.ts';
import { SaveBar, RooflineSection } from '../parts/result.tsx';
import { Kernels } from '../../report/html/kernels.tsx';
import { Checks } from '../../report/html/checks.tsx';

const SECONDS = 10;

export function KernelsRoute() {
  const { query } = place.value;
  const family = useSignal(String(query['family'] ?? 'matmul'));
  const variant = useSignal(String(query['variant'] ?? ''));
  const row = useSignal(String(query['row'] ?? ''));
  const seconds = useSignal(Number(query['seconds'] ?? SECONDS));
  const open = adapter.value;
  const families = open.state === 'open' ? open.found.families : [];
  const chosen = families.find(({ name }) => name === family.value);
  const begin = (): void => {
    keepAddress('kernels', {
      ...{ family: family.value, variant: variant.value, row: row.value },
      seconds: seconds.value === SECONDS ? undefined : seconds.value,
    });
    clearBench();
    // A row by its name; within it a variant where one is named. All variants of a row are timed side by side.
    const kernels =
      row.value !== '' ? [row.value] : variant.value !== '' ? [`${family.value}/${variant.value}`] : [];
    start({
      ...{ kind: 'bench', seconds: seconds.value, layout: formatLayout(CARD_LAYOUT) },
      ...{ families: [family.value], kernels },
    });
  };
  const idea = chosen?.variants.find(({ name }) => name === variant.value)?.idea;
  const ended = run.value;
  return (
    <>
      <div class="fields">
        <Field label="family">
          <select
            value={family.value}
            onChange={({ currentTarget }) => {
              family.value = currentTarget.value;
              variant.value = row.value = '';
            }}
          >
            {families.map(({ name }) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </Field>
        <Field label="variant" {...(idea !== undefined && { hint: idea })}>
          <select
            value={variant.value}
            disabled={row.value !== ''}
            onChange={({ currentTarget }) => (variant.value = currentTarget.value)}
          >
            <option value="">what is taken by default</option>
            {chosen?.variants.map(({ name }) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </Field>
        <Field label="shape">
          <select value={row.value} onChange={({ currentTarget }) => (row.value = currentTarget.value)}>
            <option value="">all shapes of the bench</option>
            {chosen?.rows.map(({ name }) => (
              <option key={name} value={name}>
                {name}: all variants
              </option>
            ))}
          </select>
        </Field>
        <NumberField label="seconds to measure" value={seconds} least={1} most={3600} />
      </div>
      {chosen === undefined && families.length > 0 && (
        <Message kind="warn">
          There is no family {JSON.stringify(family.value)}. There are:{' '}
          {families.map(({ name }) => name).join(', ')}.
        </Message>
      )}
      <p class="buttons">
        <button type="button" class="main" disabled={isRunning.value || chosen === undefined} onClick={begin}>
          Check and time
        </button>
        <span class="soft">
          {chosen && `${chosen.cases} cases against float64 first; what is wrong has no time.`}
        </span>
      </p>
      <OwnKernel />
      <Ending kinds={['bench', 'own']} />
      <Steps kinds={['bench', 'own']} />
      {ended?.outcome?.kind === 'own' && <OwnOutcome outcome={ended.outcome} />}
      {shown.value === undefined ? (
        <>
          {!isEmpty.value && <Tiles />}
          <Live />
        </>
      ) : (
        <>
          <SaveBar shown={shown.value} />
          <RooflineSection result={shown.value.result} />
          <Kernels result={shown.value.result} />
          <Checks result={shown.value.result} />
        </>
      )}
    </>
  );
}

type Own = Extract<NonNullable<NonNullable<typeof run.value>['outcome']>, { kind: 'own' }>;

function OwnOutcome({ outcome }: { readonly outcome: Own }) {
  const { errors, registered } = outcome;
  if (errors.length > 0) {
    return (
      <Message kind="bad">
        <p>The shader does not compile on this adapter.</p>
        <ul>
          {errors.map(({ line, column, message, source }, i) => (
            <li key={i}>
              line {line}, column {column}: {message}
              <pre>{source}</pre>
            </li>
          ))}
        </ul>
      </Message>
    );
  }
  if (registered === null) return null;
  const { pass, variant, cases, refused, races } = registered;
  const racing = races.filter(({ state }) => state === 'races');
  return (
    <Message kind={pass ? 'info' : 'bad'}>
      <p>
        <b class={pass ? 'good' : 'bad'}>{pass ? `✓ ${variant} is right` : `✗ ${variant} is condemned`}</b>:{' '}
        {cases} cases of its family ran in strict runs, it refuses {refused}.{' '}
        {pass ? 'Its times stand beside ours below.' : 'The first that failed is below; it has no time.'}
      </p>
      {racing.map(({ subject, message }) => (
        <p key={subject}>
          {subject}: {message}
        </p>
      ))}
      {races
        .filter(({ state }) => state === 'unknown')
        .slice(0, 1)
        .map(({ message }) => (
          <p key={message}>Not examined for races: {message}</p>
        ))}
    </Message>
  );
}
