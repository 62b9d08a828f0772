/** The first screen: one button, and what comes of it. */
import { useSignal } from '@preact/signals';
import { clearBench, isEmpty, note, shown } from '../state/bench.ts';
import { keepAddress, place } from '../state/links.ts';
import { adapter, isRunning, start } from '../state/session.ts';
import { NumberField } from '../parts/basics.tsx';
import { Live, Tiles } from '../parts/bench-tables.tsx';
import { Ending, Steps } from '../parts/job-bar.tsx';
import { axesOf, LayoutField, layoutOfPlace } from '../parts/layout-field.tsx';
import { WholeResult } from '../parts/result.tsx';

/** Time to measure for, so that checks, compiling and this come to a minute or so. A guess. */
const SECONDS = 20;

export function RunRoute() {
  const layout = useSignal(layoutOfPlace());
  const seconds = useSignal(Number(place.value.query['seconds'] ?? SECONDS));
  const canRun = adapter.value.state === 'open' && !isRunning.value;
  const begin = (): void => {
    keepAddress('run', {
      ...axesOf(layout.value),
      seconds: seconds.value === SECONDS ? undefined : seconds.value,
    });
    clearBench();
    start({ kind: 'bench', seconds: seconds.value, layout: layout.value, families: [], kernels: [] });
  };
  const whole = shown.value;
  return (
    <>
      <div class="lead">
        <button type="button" class="main" disabled={!canRun} onClick={begin}>
          Check and time (1 min)
        </button>
        <p>
          Holds every kernel against float64, runs a trained model on the ranks of {layout.value} and on one,
          measures what this adapter can do at most, and times what is right.
        </p>
      </div>
      <details class="options">
        <summary>Layout and time</summary>
        <div class="fields">
          <LayoutField text={layout} id="run" />
          <NumberField label="seconds to measure" value={seconds} least={1} most={3600} />
        </div>
      </details>
      <Ending kinds={['bench']} />
      <Steps kinds={['bench']} />
      {note.value !== '' && <p class="soft">{note.value}</p>}
      {whole === undefined && !isEmpty.value && <Tiles />}
      {whole === undefined ? <Live /> : <WholeResult shown={whole} />}
      {isEmpty.value && whole === undefined && !isRunning.value && (
        <p class="soft empty">
          Nothing was measured yet. Nothing leaves this browser: results stay here until you save them.
        </p>
      )}
    </>
  );
}
