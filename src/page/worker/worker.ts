/** The page's worker: all work with the adapter is here, one job at a time, so that the page stays quick. */
import * as v from 'valibot';
import { messageOf } from '../../core/errors.ts';
import { openGpu, type Gpu } from '../../gpu/gpu.ts';
import { webPlatform } from '../../platform/web/web.ts';
import { Order, type Job } from '../protocol/jobs.ts';
import type { Outcome, Report } from '../protocol/reports.ts';
import type { JobContext } from './context.ts';
import { examine } from './open.ts';
import { Teller } from './teller.ts';

/** What the types of a page say of a worker's own scope is that of a window. */
const scope = globalThis as unknown as {
  postMessage(message: Report, transfer?: Transferable[]): void;
  addEventListener(type: 'message', listener: (event: MessageEvent<unknown>) => void): void;
};

interface Running {
  readonly id: number;
  readonly controller: AbortController;
  gpu: Gpu | undefined;
}

let running: Running | undefined;

scope.addEventListener('message', ({ data }) => {
  const order = v.safeParse(Order, data);
  if (order.success) void obey(order.output);
  else {
    const [issue] = order.issues;
    const message = `the worker does not understand ${v.getDotPath(issue) ?? 'this order'}: ${issue.message}`;
    scope.postMessage({ type: 'refused', fault: { name: 'ConfigError', message: message.slice(0, 400) } });
  }
});

async function obey(order: Order): Promise<void> {
  switch (order.type) {
    case 'open':
      return open(order.base);
    case 'start':
      return start(order.id, order.job, order.base);
    case 'destroy':
      running?.gpu?.device.destroy();
      return;
    case 'cancel':
      if (running?.id === order.id) running.controller.abort(new Error('the page'));
      return;
  }
}

async function open(baseUrl: string): Promise<void> {
  try {
    const found = await examine(webPlatform({ baseUrl }), (greeting) =>
      scope.postMessage({ type: 'greeted', greeting }),
    );
    scope.postMessage({ type: 'opened', found });
  } catch (error) {
    scope.postMessage({ type: 'refused', fault: faultOf(error) });
  }
}

async function start(id: number, job: Job, base: string): Promise<void> {
  if (running !== undefined) {
    const fault = { name: 'ConfigError', message: 'another job is running. Wait for it, or cancel it.' };
    scope.postMessage({ type: 'failed', id, fault, lost: false });
    return;
  }
  const own: Running = { id, controller: new AbortController(), gpu: undefined };
  const { signal } = own.controller;
  running = own;
  const teller = new Teller((progress) => scope.postMessage({ type: 'progress', id, progress }));
  const platform = webPlatform({ baseUrl: base });
  let isLost = false;
  const context: JobContext = {
    ...{ platform, base, signal, steps: teller.steps, tell: (part) => teller.tell(part) },
    versions: { moebius: __MOEBIUS_VERSION__, browser: browserHere() },
    openGpu: async () => {
      const gpu = await openGpu(platform);
      own.gpu = gpu;
      void gpu.device.lost.then(() => (isLost = true));
      return gpu.under(signal);
    },
  };
  try {
    const outcome = await work(job, context);
    teller.flush();
    const liveBytes = own.gpu?.ledger.bytes ?? 0;
    scope.postMessage({ type: 'done', id, outcome, liveBytes });
  } catch (error) {
    teller.flush();
    scope.postMessage({ type: 'failed', id, fault: faultOf(error), lost: isLost || isLossOf(error) });
  } finally {
    own.gpu?.destroy();
    running = undefined;
  }
}

/** Each job's code comes when it is first asked for. */
async function work(job: Job, context: JobContext): Promise<Outcome> {
  switch (job.kind) {
    case 'bench':
      return (await import('./jobs/bench.ts')).benchJob(job, context);
    case 'validate':
      return (await import('./jobs/validate.ts')).validateJob(job, context);
    case 'own':
      return (await import('./jobs/own.ts')).ownJob(job, context);
    case 'generate':
      return (await import('./jobs/generate.ts')).generateJob(job, context);
    case 'timeline':
      return (await import('./jobs/timeline.ts')).timelineJob(job, context);
    case 'compare':
      return (await import('./jobs/compare.ts')).compareJob(job);
    case 'search':
      return (await import('./jobs/search.ts')).searchJob(job, context);
    case 'doctor':
      return (await import('./jobs/doctor.ts')).doctorJob(job, context);
  }
}

/** Told before the device's own promise of it, or by a browser that gives no adapter any more. */
function isLossOf(error: unknown): boolean {
  return /was lost|no adapter/.test(messageOf(error));
}

/** Class names are made short by the build: errors carry their own. */
function faultOf(error: unknown): { name: string; message: string } {
  return { name: error instanceof Error ? error.name : 'Error', message: messageOf(error).slice(0, 2000) };
}

function browserHere(): string {
  return /Chrome\/[\d.]+|Firefox\/[\d.]+|Version\/[\d.]+ Safari/.exec(navigator.userAgent)?.[0] ?? 'unknown';
}
