/** The worker and what it is doing. Signals, so that only what shows a part of it is drawn anew. */
import { batch, computed, signal } from '@preact/signals';
import * as v from 'valibot';
import type { Job, Order } from '../protocol/jobs.ts';
import {
  Report,
  type Fault,
  type Greeting,
  type Opened,
  type Outcome,
  type Progress,
} from '../protocol/reports.ts';
import { ownScript } from '../trusted.ts';
import workerUrl from '../worker/worker.ts?worker&url';

export type Adapter =
  /** @param first what is known by now. @param ms as below. */
  | { readonly state: 'opening'; readonly first?: { readonly greeting: Greeting; readonly ms: number } }
  /** @param ms from the page's start to the first product of matrices. */
  | { readonly state: 'open'; readonly found: Opened; readonly ms: number }
  | { readonly state: 'none'; readonly message: string };

/** The job that runs, or ran last. */
export interface Run {
  readonly id: number;
  readonly job: Job;
  readonly state: 'running' | 'done' | 'cancelled' | 'failed';
  readonly began: number;
  readonly ended: readonly { readonly title: string; readonly outcome: string }[];
  readonly title: string;
  readonly text: string;
  /** When the worker was heard last, by the page's clock, ms. */
  readonly heard: number;
  readonly fault?: Fault;
  readonly lost?: boolean;
  readonly outcome?: Outcome;
  readonly liveBytes?: number;
}

export const adapter = signal<Adapter>({ state: 'opening' });
export const run = signal<Run | undefined>(undefined);
export const isRunning = computed(() => run.value?.state === 'running');
/** A fault that belongs to no job. */
export const trouble = signal<string | undefined>(undefined);

type Listener = (progress: Progress, run: Run) => void;
const listeners = new Set<Listener>();
const endings = new Set<(run: Run) => void>();

/** Told of every progress, in the batch that changes `run`. */
export const onProgress = (listener: Listener): void => void listeners.add(listener);
/** Told when a job has ended, whichever way. */
export const onEnd = (listener: (run: Run) => void): void => void endings.add(listener);

let worker: Worker | undefined;
/** The job that was called off and has not ended yet. */
let ending: number | undefined;
/** After so long it is ended with its worker. */
const PATIENCE_MS = 2000;
let nextId = 1;

function workerHere(): Worker {
  if (worker !== undefined) return worker;
  const fresh = new Worker(ownScript(workerUrl), { type: 'module', name: 'moebius' });
  fresh.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
    if (fresh === worker) hear(data);
  });
  fresh.addEventListener('error', ({ message }) => {
    if (fresh !== worker) return;
    dropWorker();
    const text = `the worker stopped: ${message || 'its script did not load'}. Start again, or reload the page.`;
    if (isRunning.value) end({ state: 'failed', fault: { name: 'Error', message: text } });
    else if (adapter.value.state === 'opening') adapter.value = { state: 'none', message: text };
  });
  worker = fresh;
  return fresh;
}

function dropWorker(): void {
  worker?.terminate();
  worker = undefined;
  ending = undefined;
}

function send(order: Order): void {
  workerHere().postMessage(order);
}

function hear(data: unknown): void {
  const parsed = v.safeParse(Report, data);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    trouble.value = `a message of the worker is malformed: ${v.getDotPath(issue) ?? 'it'}: ${issue.message}`;
    return;
  }
  batch(() => obey(parsed.output));
}

function obey(report: Report): void {
  if (report.type === 'greeted') {
    adapter.value = { state: 'opening', first: { greeting: report.greeting, ms: performance.now() } };
    return;
  }
  if (report.type === 'opened') {
    const { value: now } = adapter;
    const ms = now.state === 'opening' ? now.first?.ms : undefined;
    adapter.value = { state: 'open', found: report.found, ms: ms ?? performance.now() };
    return;
  }
  if (report.type === 'refused') {
    // An order that the worker does not take: no adapter is missing for that.
    if (isRunning.value) end({ state: 'failed', fault: report.fault });
    else adapter.value = { state: 'none', message: report.fault.message };
    return;
  }
  if (report.type !== 'progress' && report.id === ending) ending = undefined;
  const now = run.value;
  if (now?.id !== report.id || now.state !== 'running') return;
  if (report.type === 'progress') {
    const { ended = [], title = now.title, text = now.text } = report.progress;
    run.value = { ...now, title, text, ended: [...now.ended, ...ended], heard: performance.now() };
    for (const listener of listeners) listener(report.progress, now);
    return;
  }
  if (report.type === 'failed') end({ state: 'failed', fault: report.fault, lost: report.lost });
  else end({ state: 'done', outcome: report.outcome, liveBytes: report.liveBytes });
}

function end(how: Pick<Run, 'state'> & Partial<Run>): void {
  const now = run.value;
  if (now?.state !== 'running') return;
  const ended = { ...now, ...how };
  run.value = ended;
  for (const listener of endings) listener(ended);
}

/** Looks at the adapter, again where it was lost. */
export function open(): void {
  adapter.value = { state: 'opening' };
  dropWorker();
  send({ type: 'open', base: document.baseURI });
}

/** Starts a job, unless one is running. */
export function start(job: Job): void {
  if (isRunning.value) return;
  if (ending !== undefined) dropWorker();
  const [id, now] = [nextId++, performance.now()];
  trouble.value = undefined;
  run.value = { id, job, state: 'running', began: now, heard: now, ended: [], title: 'Begin', text: '' };
  send({ type: 'start', id, job, base: document.baseURI });
}

/** Ends the job that is running: what it has told stays. */
export function cancel(): void {
  const now = run.value;
  if (now?.state !== 'running') return;
  ending = now.id;
  send({ type: 'cancel', id: now.id });
  setTimeout(() => {
    if (ending === now.id) dropWorker();
  }, PATIENCE_MS);
  end({ state: 'cancelled' });
}

/** Ends the device of the job that is running, as a driver may. */
export function destroyDevice(): void {
  if (isRunning.value) send({ type: 'destroy' });
}
