/** Between the program, which calls and is called by name, and the worker that does the work. */
import type { Told } from './worker.ts';

declare const tellBench: (told: Told) => Promise<void>;

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
worker.addEventListener('message', ({ data }: MessageEvent<Told>) => void tellBench(data));
worker.addEventListener('error', ({ message }) => void tellBench({ what: 'failed', error: message }));
Object.assign(globalThis, { toWorker: (asked: unknown) => worker.postMessage(asked) });
