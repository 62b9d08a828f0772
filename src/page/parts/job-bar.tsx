/** What is going on, at the foot of every route: the step, how far it is, and how to end it. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { cancel, isRunning, open, run, type Run } from '../state/session.ts';
import { Message } from './basics.tsx';

const NAMES: Readonly<Record<Run['job']['kind'], string>> = {
  bench: 'Check and time',
  validate: 'Validate',
  own: 'Your kernel',
  generate: 'Generate',
  timeline: 'Timeline',
  compare: 'Compare',
  search: 'Search',
  doctor: 'Measure the adapter',
};

/** After so long without a word the bar says so. A guess. */
const SILENT_MS = 20_000;

export function JobBar() {
  const now = useSignal(performance.now());
  const running = isRunning.value;
  useEffect(() => {
    if (!running) return undefined;
    const timer = setInterval(() => (now.value = performance.now()), 1000);
    return () => clearInterval(timer);
  }, [running]);
  const job = run.value;
  if (job === undefined || !running) return null;
  const seconds = Math.max(0, Math.round((now.value - job.began) / 1000));
  const silent = Math.max(0, now.value - job.heard);
  return (
    <div class="job" role="region" aria-label="What is running">
      <div class="job-text">
        <b>{NAMES[job.job.kind]}</b> <span class="job-step">{job.title}</span>{' '}
        <span class="soft job-say">{job.text}</span>
        {silent > SILENT_MS && (
          <span class="bad">
            {' '}
            no word for {Math.round(silent / 1000)} s: the adapter may hang. End the job; where the next
            hangs, too, restart the browser.
          </span>
        )}
      </div>
      <progress aria-label={job.title} />
      <span class="soft time">{seconds} s</span>
      <button type="button" onClick={cancel}>
        Cancel
      </button>
    </div>
  );
}

/** The steps of the job that is running, each with what came of it. */
export function Steps({ kinds }: { readonly kinds: readonly Run['job']['kind'][] }) {
  const now = run.value;
  if (now?.state !== 'running' || !kinds.includes(now.job.kind)) return null;
  return (
    <ol class="steps">
      {now.ended.map(({ title, outcome }) => (
        <li key={title}>
          <span class={/FAILED|NOT /.test(outcome) ? 'bad' : 'good'} aria-hidden="true">
            {/FAILED|NOT /.test(outcome) ? '✗' : '✓'}
          </span>{' '}
          {title} <span class="soft">{outcome}</span>
        </li>
      ))}
      <li aria-current="step">
        <span aria-hidden="true">…</span> {now.title}
      </li>
    </ol>
  );
}

/** How the last job of these kinds ended, where it did not end well. */
export function Ending({ kinds }: { readonly kinds: readonly Run['job']['kind'][] }) {
  const last = run.value;
  if (last === undefined || !kinds.includes(last.job.kind)) return null;
  if (last.state === 'cancelled') return <Message kind="info">Cancelled. What was finished stays.</Message>;
  if (last.state !== 'failed') return null;
  const { message = 'no reason was given' } = last.fault ?? {};
  const isGone = /no adapter/.test(message);
  return (
    <Message kind="bad">
      <p>{message}</p>
      {last.lost === true && !isGone && (
        <p>
          Finished rows are kept.{' '}
          <button type="button" onClick={open}>
            Reopen
          </button>
        </p>
      )}
      {isGone && <Gone />}
    </Message>
  );
}

/** After a second crash of its GPU process Chrome gives no adapter until the page is loaded anew. */
export function Gone() {
  return (
    <p>
      Finished rows are kept. After a second crash of its GPU process Chrome gives no adapter until the page
      is reloaded.{' '}
      <button type="button" onClick={() => location.reload()}>
        Reload
      </button>
    </p>
  );
}
