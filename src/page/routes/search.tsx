/** Every layout of so many GPUs, simulated, and those that nothing beats. No adapter takes part. */
import { signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { SearchReport } from '../../planner/search/search.ts';
import { Field, NumberField, saveFile } from '../parts/basics.tsx';
import { Ending } from '../parts/job-bar.tsx';
import { keepAddress, place } from '../state/links.ts';
import { isRunning, onEnd, onProgress, run, start } from '../state/session.ts';

const DEFAULTS = {
  ...{ model: 'card', hardware: 'h100-sxm', gpus: '128', layout: '', ttft: 0, tpot: 0 },
  ...{ isl: 1024, osl: 1024, concurrency: 0 },
} as const;
type Name = keyof typeof DEFAULTS;

/** All so far. */
const layouts = signal<SearchReport | undefined>(undefined);

onProgress(({ layouts: told }, { job }) => {
  if (job.kind === 'search' && told) layouts.value = told;
});
onEnd(({ outcome }) => {
  if (outcome?.kind === 'search') layouts.value = outcome.layouts;
});

export function SearchRoute() {
  const { query } = place.value;
  const textOf = (name: 'model' | 'hardware' | 'gpus' | 'layout') =>
    useSignal(String(query[name] ?? DEFAULTS[name]));
  const numberOf = (name: 'ttft' | 'tpot' | 'isl' | 'osl' | 'concurrency') =>
    useSignal(Number(query[name] ?? DEFAULTS[name]));
  const texts = { model: textOf('model'), hardware: textOf('hardware'), gpus: textOf('gpus') };
  const layout = textOf('layout');
  const [ttft, tpot] = [numberOf('ttft'), numberOf('tpot')];
  const [isl, osl, concurrency] = [numberOf('isl'), numberOf('osl'), numberOf('concurrency')];
  const gpus = texts.gpus.value.split(',').map((count) => Number(count.trim() || NaN));
  const isWrong = gpus.some((count) => !(Number.isInteger(count) && count >= 1));
  const begin = (): void => {
    const now: Readonly<Record<Name, string | number>> = {
      ...{ model: texts.model.value, hardware: texts.hardware.value, gpus: texts.gpus.value },
      ...{ layout: layout.value, ttft: ttft.value, tpot: tpot.value },
      ...{ isl: isl.value, osl: osl.value, concurrency: concurrency.value },
    };
    const others = Object.entries(now).filter(([name, value]) => value !== DEFAULTS[name as Name]);
    keepAddress('search', Object.fromEntries(others));
    layouts.value = undefined;
    start({
      ...{ kind: 'search', model: texts.model.value, hardware: texts.hardware.value, gpus },
      ...{ layout: layout.value.trim(), ttft: ttft.value, tpot: tpot.value },
      ...{ isl: isl.value, osl: osl.value, concurrency: concurrency.value },
    });
  };
  const found = layouts.value;
  const isOver = run.value?.outcome?.kind === 'search';
  return (
    <>
      <p>
        Every layout of so many GPUs under every consistent reading, cut by memory and simulated: those that
        nothing beats, and what beats a given one. It is computed here, without an adapter.
      </p>
      <div class="fields">
        <TextField label="model" value={texts.model} hint="card, mixtral-8x7b, deepseek-v3, …" />
        <TextField label="hardware" value={texts.hardware} hint="h100-sxm, h200, b200, mi300x, …" />
        <TextField
          label="GPUs"
          value={texts.gpus}
          hint={isWrong ? 'must be whole numbers, as 128 or 64,128' : 'one number, or several: 64,128'}
        />
        <TextField label="a layout to place" value={layout} hint="ep=16,pp=4,tp=2,dp=2; empty: none" />
        <NumberField label="TTFT at most, ms; 0: any" value={ttft} least={0} most={999_999_999} />
        <NumberField label="TPOT at most, ms; 0: any" value={tpot} least={0} most={999_999_999} />
        <NumberField label="tokens in" value={isl} least={1} most={2 ** 24} />
        <NumberField label="tokens out" value={osl} least={1} most={2 ** 24} />
        <NumberField label="requests at once; 0: 4 a GPU" value={concurrency} least={0} most={100_000} />
      </div>
      <p class="buttons">
        <button type="button" class="main" disabled={isRunning.value || isWrong} onClick={begin}>
          Search
        </button>
        {found !== undefined && isOver && (
          <button
            type="button"
            onClick={() => saveFile('layouts.json', JSON.stringify(found, null, 2), 'application/json')}
          >
            Save JSON
          </button>
        )}
      </p>
      <Ending kinds={['search']} />
      {found !== undefined && <Found report={found} />}
    </>
  );
}

function TextField(props: {
  readonly label: string;
  readonly value: { value: string };
  readonly hint: string;
}) {
  const { label, value, hint } = props;
  return (
    <Field label={label} hint={hint}>
      <input
        value={value.value}
        maxLength={300}
        spellcheck={false}
        onInput={({ currentTarget }) => (value.value = currentTarget.value)}
      />
    </Field>
  );
}

type View = typeof import('../parts/search-found.tsx').SearchFound;

function Found({ report }: { readonly report: SearchReport }) {
  const view = useSignal<{ readonly show: View } | undefined>(undefined);
  useEffect(() => {
    void import('../parts/search-found.tsx').then(({ SearchFound }) => (view.value = { show: SearchFound }));
  }, []);
  if (view.value === undefined) return null;
  const { show: Shown } = view.value;
  return <Shown report={report} />;
}
