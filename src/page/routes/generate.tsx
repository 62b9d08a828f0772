/** Text from a model on all ranks of a layout, token by token, with what each stage took and whom the router chose. */
import { batch, computed, signal, useSignal } from '@preact/signals';
import { maxOf, sum } from '../../core/math.ts';
import { printableLines } from '../../core/text/printable.ts';
import { formatNs } from '../../core/units.ts';
import { Badge, Bar, Facts } from '../../report/html/parts.tsx';
import { Drop, type Given } from '../parts/drop.tsx';
import { NumberField } from '../parts/basics.tsx';
import { Ending, Steps } from '../parts/job-bar.tsx';
import { axesOf, LayoutField, layoutOfPlace } from '../parts/layout-field.tsx';
import type { Token } from '../protocol/reports.ts';
import { keepAddress, place } from '../state/links.ts';
import { adapter, isRunning, onProgress, run, start } from '../state/session.ts';

const DEFAULTS = { prompt: 'ROMEO:', tokens: 60, temperature: 0, seed: 0 } as const;
/** Of one file of a model: what a page can hold. A guess. */
const MOST_BYTES = 2 * 2 ** 30;

const prompted = signal('');
const tokens = signal<readonly Token[]>([]);
const dropped = signal<readonly Given[]>([]);
/** All choices so far, [layer][expert]. */
const load = computed(() => {
  const all: number[][] = [];
  for (const { load: own } of tokens.value)
    own.forEach((counts, layer) => {
      const row = (all[layer] ??= counts.map(() => 0));
      counts.forEach((count, expert) => (row[expert] = (row[expert] ?? 0) + count));
    });
  return all;
});

onProgress(({ tokens: told }, { job }) => {
  if (job.kind === 'generate' && told) tokens.value = [...tokens.value, ...told];
});

export function GenerateRoute() {
  const { query } = place.value;
  const layout = useSignal(layoutOfPlace());
  const prompt = useSignal(String(query['prompt'] ?? DEFAULTS.prompt));
  const count = useSignal(Number(query['tokens'] ?? DEFAULTS.tokens));
  const temperature = useSignal(Number(query['temperature'] ?? DEFAULTS.temperature));
  const seed = useSignal(Number(query['seed'] ?? DEFAULTS.seed));
  const begin = (): void => {
    const unless = <T,>(value: T, usual: T): T | undefined => (value === usual ? undefined : value);
    keepAddress('generate', {
      ...axesOf(layout.value),
      ...{ prompt: unless(prompt.value, DEFAULTS.prompt), tokens: unless(count.value, DEFAULTS.tokens) },
      ...{ temperature: unless(temperature.value, 0), seed: unless(seed.value, 0) },
    });
    batch(() => {
      tokens.value = [];
      prompted.value = prompt.value;
    });
    start({
      ...{ kind: 'generate', layout: layout.value, prompt: prompt.value, tokens: count.value },
      ...{ temperature: temperature.value, seed: seed.value },
      model: dropped.value.map(({ path, file }) => ({ path, file })),
    });
  };
  return (
    <>
      <div class="fields">
        <label class="field grow">
          <span class="label">prompt</span>
          <input
            value={prompt.value}
            maxLength={4000}
            onInput={({ currentTarget }) => (prompt.value = currentTarget.value)}
          />
        </label>
        <NumberField label="tokens" value={count} least={1} most={4096} />
        <NumberField label="temperature" value={temperature} least={0} most={100} step={0.1} />
        <NumberField label="seed" value={seed} least={0} most={999_999_999} />
        <LayoutField text={layout} id="generate" />
      </div>
      <p class="buttons">
        <button
          type="button"
          class="main"
          disabled={isRunning.value || adapter.value.state !== 'open'}
          onClick={begin}
        >
          Generate
        </button>
        <span class="soft">
          {dropped.value.length === 0
            ? 'with the bundled tiny-moe, a trained model of 16 experts'
            : `with the folder of ${dropped.value.length} files`}
        </span>
        {dropped.value.length > 0 && (
          <button type="button" onClick={() => (dropped.value = [])}>
            Use tiny-moe again
          </button>
        )}
      </p>
      <details class="options">
        <summary>A model of your own</summary>
        <Drop
          folder
          mostBytes={MOST_BYTES}
          label="Drop the folder of a Mixtral-style checkpoint here, with config.json, its safetensors and vocab.json, or choose it. It stays on this machine."
          take={(files) => {
            dropped.value = files.filter(({ path }) => /\.(json|safetensors)$/.test(path));
          }}
        />
      </details>
      <Ending kinds={['generate']} />
      <Steps kinds={['generate']} />
      {prompted.value !== '' && <Spoken />}
    </>
  );
}

function Spoken() {
  const list = tokens.value;
  const outcome = run.value?.outcome;
  const last = list.at(-1);
  return (
    <>
      <p class="spoken" aria-label="Text" data-tokens={list.length}>
        <span class="prompt">{printableLines(prompted.value)}</span>
        {list.map(({ text }) => printableLines(text)).join('')}
      </p>
      {outcome?.kind === 'generate' && (
        <Facts
          facts={[
            ['first token', `${formatNs(outcome.prefillNs)} (measured, host clock)`],
            ['each further', list.length < 2 ? 'none' : formatNs(outcome.decodeNs / (list.length - 1))],
            ['ranks', `${outcome.worldSize}, made ready in ${formatNs(outcome.engineNs)}`],
            ['host waits', `${outcome.hostSyncsInLayers} within the layers`],
          ]}
        />
      )}
      {last !== undefined && (
        <div class="two uneven">
          <StageTimes last={last} />
          <Heat />
        </div>
      )}
    </>
  );
}

function StageTimes({ last }: { readonly last: Token }) {
  const later = tokens.value.slice(1);
  const mean = (stage: number): number =>
    later.length === 0 ? 0 : sum(later.map(({ stages }) => stages[stage]?.ns ?? 0)) / later.length;
  const most = maxOf(
    last.stages.map(({ ns }) => ns),
    0,
  );
  return (
    <section aria-labelledby="stage-times">
      <h2 id="stage-times">
        Last token by stage <Badge source="measured" />
      </h2>
      {last.stages.length === 0 ? (
        <p>
          {formatNs(last.hostNs)} on the host's clock. This adapter has no timestamps, so stages cannot be
          told apart.
        </p>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col">stage</th>
              <th scope="col" class="n">
                last
              </th>
              <th scope="col" class="n">
                mean
              </th>
              <th scope="col">beside the slowest</th>
            </tr>
          </thead>
          <tbody>
            {last.stages.map(({ stage, ns }) => (
              <tr key={stage}>
                <th scope="row">stage {stage}</th>
                <td class="n">{formatNs(ns)}</td>
                <td class="n">{later.length === 0 ? '' : formatNs(mean(stage))}</td>
                <td>
                  <Bar share={most === 0 ? 0 : ns / most} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

/** From none to the most: told by number and by colour. */
function heatOf(count: number, fair: number): string {
  if (count === 0) return 'heat-0';
  if (count < 0.5 * fair) return 'heat-1';
  if (count < 1.25 * fair) return 'heat-2';
  return count < 2 * fair ? 'heat-3' : 'heat-4';
}

function Heat() {
  const all = load.value;
  const experts = all[0]?.length ?? 0;
  return (
    <section aria-labelledby="load">
      <h2 id="load">
        Load of the experts <Badge source="measured" />
      </h2>
      <div class="table" role="region" aria-label="Tokens of each expert by layer" tabIndex={0}>
        <table class="heat">
          <thead>
            <tr>
              <th scope="col">layer</th>
              {Array.from({ length: experts }, (_, expert) => (
                <th scope="col" key={expert}>
                  {expert}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {all.map((counts, layer) => (
              <tr key={layer}>
                <th scope="row">{layer}</th>
                {counts.map((count, expert) => (
                  <td key={expert} class={heatOf(count, sum(counts) / counts.length)}>
                    {count}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="soft">Choices of the router, prompt included. Orange: twice an even share or more.</p>
    </section>
  );
}
