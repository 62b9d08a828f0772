/** One step of the model, with instruments: where its time goes, stage by stage, and what the pipeline does when. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { formatNs, formatPercent } from '../../core/units.ts';
import { HUES } from '../../plots/hues.ts';
import { Badge, Table } from '../../report/html/parts.tsx';
import { Field, Message, NumberField, Plot, saveFile } from '../parts/basics.tsx';
import { Ending, Steps } from '../parts/job-bar.tsx';
import { axesOf, LayoutField, layoutOfPlace } from '../parts/layout-field.tsx';
import { openInPerfetto } from '../parts/perfetto.ts';
import type { OutcomeOf } from '../protocol/reports.ts';
import { keepAddress, place } from '../state/links.ts';
import { adapter, isRunning, run, start } from '../state/session.ts';

const DEFAULTS = { batch: 16, tokens: 32 } as const;

export function TimelineRoute() {
  const { query } = place.value;
  const layout = useSignal(layoutOfPlace());
  const batch = useSignal(Number(query['batch'] ?? DEFAULTS.batch));
  const tokens = useSignal(Number(query['tokens'] ?? DEFAULTS.tokens));
  const step = useSignal<'prefill' | 'decode'>(query['step'] === 'decode' ? 'decode' : 'prefill');
  const begin = (): void => {
    keepAddress('timeline', {
      ...axesOf(layout.value),
      batch: batch.value === DEFAULTS.batch ? undefined : batch.value,
      tokens: tokens.value === DEFAULTS.tokens ? undefined : tokens.value,
      step: step.value === 'prefill' ? undefined : step.value,
    });
    start({
      ...{ kind: 'timeline', layout: layout.value, step: step.value },
      ...{ batch: batch.value, tokens: tokens.value },
    });
  };
  const outcome = run.value?.outcome;
  return (
    <>
      <div class="fields">
        <LayoutField text={layout} id="timeline" />
        <NumberField label="sequences" value={batch} least={1} most={256} />
        <NumberField label="tokens of each" value={tokens} least={1} most={1024} />
        <Field label="step">
          <select
            value={step.value}
            onChange={({ currentTarget }) =>
              (step.value = currentTarget.value === 'decode' ? 'decode' : 'prefill')
            }
          >
            <option value="prefill">the prompts</option>
            <option value="decode">one further token of each</option>
          </select>
        </Field>
      </div>
      <p class="buttons">
        <button
          type="button"
          class="main"
          disabled={isRunning.value || adapter.value.state !== 'open'}
          onClick={begin}
        >
          Profile a step
        </button>
        <span class="soft">of tiny-moe on all ranks, where the time of one goes</span>
      </p>
      <Ending kinds={['timeline']} />
      <Steps kinds={['timeline']} />
      {outcome?.kind === 'timeline' && <Profiled found={outcome} />}
    </>
  );
}

interface Drawings {
  readonly stages: typeof import('../../plots/stages.ts');
  readonly pipeline: typeof import('../../plots/pipeline.ts');
}

function Profiled({ found }: { readonly found: OutcomeOf<'timeline'> }) {
  const drawings = useSignal<Drawings | undefined>(undefined);
  const fault = useSignal<string | undefined>(undefined);
  useEffect(() => {
    void Promise.all([import('../../plots/stages.ts'), import('../../plots/pipeline.ts')]).then(
      ([stages, pipeline]) => (drawings.value = { stages, pipeline }),
    );
  }, []);
  const { parts, slots, rows, trace } = found;
  const plots = drawings.value;
  const numStages = new Set(slots.map(({ stage }) => stage)).size;
  return (
    <>
      <p class="buttons">
        <button type="button" onClick={() => saveFile('step.pftrace', trace, 'application/octet-stream')}>
          Save trace
        </button>
        <button
          type="button"
          onClick={() => {
            fault.value = undefined;
            void openInPerfetto(trace).then((why) => (fault.value = why));
          }}
        >
          Open in Perfetto
        </button>
        <span class="soft">Perfetto is a page of another server; it gets this trace and nothing else.</span>
      </p>
      {fault.value !== undefined && <Message kind="warn">{fault.value}</Message>}
      <p>
        {formatNs(found.wallNs)} for the step on this one adapter; {formatNs(found.clusterNs)} were each rank
        on a device of its own and links free.
      </p>
      {parts.length === 0 ? (
        <p>This adapter has no timestamps, so stages cannot be told apart.</p>
      ) : (
        plots && (
          <>
            <h2 id="by-stage">
              Time by stage <Badge source="measured" />
            </h2>
            <figure>
              <Plot
                of={found}
                label={`GPU time of ${numStages} stages by operation; the table below has the numbers.`}
                draw={(frame) => plots.stages.drawStages(frame, parts)}
              />
              <Key names={plots.stages.phasesOf(parts)} />
            </figure>
            <h2 id="pipeline">
              Pipeline <Badge source="modelled" />
            </h2>
            <figure>
              <Plot
                of={found}
                label={`${found.microBatches} micro-batches through ${numStages} stages; gaps are bubbles.`}
                draw={(frame) => plots.pipeline.drawPipeline(frame, slots, found.clusterNs)}
              />
              <figcaption>
                Each stage on devices of its own, links free: measured passes, placed by the clock of the
                pipeline. The number is the micro-batch; gaps are bubbles.
              </figcaption>
            </figure>
          </>
        )
      )}
      <h2 id="account">
        Account <Badge source="measured" />
      </h2>
      <Table
        label="Where the time of the step went"
        columns={[
          { head: 'what' },
          { head: 'time', number: true },
          { head: 'share', number: true },
          { head: 'calls', number: true, spare: true },
        ]}
        rows={[...rows]
          .sort((x, y) => y.ns - x.ns)
          .map(({ name, ns, share, calls }) => ({
            cells: [name, formatNs(ns), formatPercent(share), calls],
          }))}
      />
    </>
  );
}

function Key({ names }: { readonly names: readonly string[] }) {
  return (
    <ul class="key">
      {names.map((name, i) => (
        <li key={name}>
          <b class={`hue-${(i % HUES) + 1}`}>{i + 1}</b> {name}
        </li>
      ))}
    </ul>
  );
}
