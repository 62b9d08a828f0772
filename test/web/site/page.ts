/** Passes words to the worker and its answers back, all of which a test reads from outside. */
type Answer = { readonly id: number; readonly value: unknown };

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
const waiting = new Map<number, (value: unknown) => void>();
let asked = 0;
worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => waiting.get(data.id)?.(data.value));

const ask = (word: string): Promise<unknown> =>
  new Promise((resolve) => {
    waiting.set((asked += 1), resolve);
    worker.postMessage({ id: asked, word });
  });
Object.assign(globalThis, { ask });
