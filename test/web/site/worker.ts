/** The public API of a page in a dedicated worker: each word is something that a user does. */
import {
  chooseClock,
  createEngine,
  examineAdapter,
  f32Tensor,
  type Gpu,
  formatResult,
  loadBenchModel,
  openGpu,
  parseLayout,
  planLayout,
  runBench,
  runOp,
  validate,
  webPlatform,
} from 'moebius/web';

const platform = webPlatform({ baseUrl: '/' });
let gpu: Gpu;
let waiting: Promise<string>;
let cancel = new AbortController();

/** How a call ended. */
const endOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'it ended well',
    (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error)),
  );

const a = f32Tensor([2, 3], [1, 2, 3, 4, 5, 6]);
const model = (): ReturnType<typeof loadBenchModel> =>
  loadBenchModel('tiny-moe', (path) => platform.readFile(path));
const rope = { quick: true, only: { families: ['rope'] }, withModel: false, seconds: 1 };

const WORDS: Readonly<Record<string, () => unknown>> = {
  open: async () => {
    gpu = await openGpu(platform);
    return gpu.facts;
  },
  openAgain: () => endOf(WORDS['open']?.() as Promise<unknown>),
  op: async () => [...((await runOp(gpu, 'matmul', { a, b: a })).get('c')?.data ?? [])],
  clock: async () => ({ chosen: await chooseClock(gpu), found: await examineAdapter(gpu) }),
  validate: async () => {
    const { pass, families } = await validate(gpu, { quick: true, family: 'rope' });
    return { pass, families: families.map(({ family, runs }) => [family, runs > 0]) };
  },
  bench: async () => formatResult(await runBench(gpu, { ...rope, ...(await model()) })),
  engine: async () => {
    const { model: weights } = await model();
    const layout = planLayout(parseLayout('ep=2,tp=2'), weights.config);
    const engine = await createEngine(gpu, { layout, weights, maxSequences: 1, maxLength: 8 });
    const { logits } = await engine.forward([{ sequence: 0, ids: [30, 27, 25] }]);
    engine.destroy();
    return logits[0]?.length;
  },
  /** Works on and on, until something ends it. */
  work: () => {
    cancel = new AbortController();
    const { signal } = cancel;
    waiting = endOf(validate(gpu, { signal }));
    return 'it works';
  },
  cancel: () => cancel.abort(new Error('the user wants it')),
  waitForEnd: () => waiting,
  ledger: () => gpu.ledger.bytes,
  destroy: () => gpu.device.destroy(),
};

self.addEventListener('message', ({ data }: MessageEvent<{ readonly id: number; readonly word: string }>) => {
  const answer = (value: unknown): void => self.postMessage({ id: data.id, value });
  void Promise.resolve(WORDS[data.word]?.()).then(answer, (error: unknown) => answer(`${String(error)}`));
});
