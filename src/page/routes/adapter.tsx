/** What the adapter is, what it can do, and what it lacks. */
import { formatBytes, formatNs, formatSi } from '../../core/units.ts';
import { Facts, Section, Table } from '../../report/html/parts.tsx';
import { KINDS, lacksOf } from '../parts/adapter-line.tsx';
import { Ending } from '../parts/job-bar.tsx';
import type { Opened } from '../protocol/reports.ts';
import { forget } from '../state/kept.ts';
import { clearBench } from '../state/bench.ts';
import { adapter, destroyDevice, isRunning, open, run, start } from '../state/session.ts';

/** For the probes. */
const SECONDS = 4;

export function AdapterRoute() {
  const now = adapter.value;
  const outcome = run.value?.outcome;
  return (
    <>
      {now.state === 'open' && <Known found={now.found} />}
      <Section id="measured" title="Measured">
        <p class="buttons">
          <button
            type="button"
            disabled={isRunning.value || now.state !== 'open'}
            onClick={() => start({ kind: 'doctor', seconds: SECONDS })}
          >
            Measure it ({SECONDS} s)
          </button>
        </p>
        <Ending kinds={['doctor']} />
        {outcome?.kind === 'doctor' && (
          <>
            <Facts
              facts={[
                ['read-back', `${formatNs(outcome.readbackNs)} for 4 bytes, wait included`],
                ['dispatch', `${formatNs(outcome.dispatchNs)} for an empty one, recording included`],
                ['indirect', `${formatNs(outcome.indirectNs)} for one whose grid lies in a buffer`],
                ['host clock', `step ${formatNs(outcome.hostStepNs)}`],
              ]}
            />
            <Table
              label="Ceilings of this adapter"
              columns={[
                { head: 'what' },
                { head: 'working set', number: true },
                { head: 'most', number: true },
                { head: 'how', spare: true },
              ]}
              rows={outcome.ceilings.map(({ name, footprintBytes, state, value, unit, form, reason }) => ({
                cells: [
                  name,
                  footprintBytes === undefined ? '' : formatBytes(footprintBytes),
                  value === undefined ? state : formatSi(value, unit ?? ''),
                  form ?? reason ?? '',
                ],
              }))}
            />
          </>
        )}
      </Section>
      <Section id="loss" title="When it goes away">
        <p>
          A driver may reset, and the GPU process of a browser may crash: a job then ends with a message,
          finished rows stay, and the adapter can be opened anew. To see it, start a job and destroy its
          device.
        </p>
        <p class="buttons">
          <button type="button" disabled={!isRunning.value} onClick={destroyDevice}>
            Destroy the device
          </button>
          <button type="button" disabled={isRunning.value} onClick={open}>
            Open anew
          </button>
          <button
            type="button"
            disabled={isRunning.value}
            onClick={() => {
              clearBench();
              void forget();
            }}
          >
            Forget what this browser keeps
          </button>
        </p>
      </Section>
    </>
  );
}

function Known({ found }: { readonly found: Opened }) {
  const { facts, features, limits, clock } = found;
  const lacks = lacksOf(found);
  return (
    <>
      <Section id="facts" title="What it says of itself">
        <Facts
          facts={[
            ['name', facts.name],
            ['kind', KINDS[facts.kind]],
            ['vendor', facts.vendor || 'not told'],
            ['architecture', facts.architecture || 'not told'],
            ['clock', clock.note],
            ...Object.entries(features).map(([name, has]): [string, string] => [name, has ? 'yes' : 'no']),
            ...Object.entries(limits).map(([name, value]): [string, string] => [
              name,
              /Size$/.test(name) && !/WorkgroupSize/.test(name)
                ? formatBytes(value)
                : value.toLocaleString('en'),
            ]),
          ]}
        />
        <details>
          <summary>How it was found</summary>
          <ul>
            {facts.search.map((step) => (
              <li key={step}>{step}</li>
            ))}
          </ul>
        </details>
      </Section>
      <Section id="lacks" title="What it lacks">
        {lacks.length === 0 ? (
          <p>Nothing that kernels make use of.</p>
        ) : (
          <Table
            label="What is missing, and what lifts it"
            columns={[{ head: 'missing' }, { head: 'what lifts it' }]}
            rows={lacks.map(({ what, remedy }) => ({ cells: [what, <code>{remedy}</code>] }))}
          />
        )}
      </Section>
    </>
  );
}
