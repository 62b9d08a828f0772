/** The bench in a worker of a page: told what to run, it tells its steps and ends with the text of a result file. */
import { type BenchResult, formatResult, loadBenchModel, openGpu, runBench, webPlatform } from 'moebius/web';

/** What the program asks for. */
export type Asked =
  | { readonly what: 'cancel' }
  | {
      readonly what: 'run';
      readonly adapter: string;
      readonly quick: boolean;
      readonly seconds?: number;
      readonly families: readonly string[];
      readonly kernels: readonly string[];
      readonly versions: Readonly<Record<string, string>>;
      readonly commit: string | null;
    };

/** What the worker tells. `failed` has what was finished by then, if anything was. */
export type Told =
  | { readonly what: 'begin' | 'say' | 'end'; readonly text: string }
  | { readonly what: 'done'; readonly result: string }
  | { readonly what: 'failed'; readonly error: string; readonly name?: string; readonly result?: string };

const tell = (told: Told): void => self.postMessage(told);
const cancel = new AbortController();

async function run(asked: Extract<Asked, { what: 'run' }>): Promise<void> {
  let soFar: (() => BenchResult) | undefined;
  try {
    const platform = webPlatform({ baseUrl: '/' });
    const gpu = await openGpu(platform, asked.adapter);
    const { families, kernels, quick, seconds } = asked;
    const result = await runBench(gpu, {
      ...(await loadBenchModel('tiny-moe', (path) => platform.readFile(path))),
      ...{ quick, only: { families, kernels }, withModel: families.length === 0 && kernels.length === 0 },
      ...{ commit: asked.commit, versions: { ...asked.versions, ...platform.versions?.() } },
      ...(seconds !== undefined && { seconds }),
      signal: cancel.signal,
      onResult: (latest) => void (soFar = latest),
      progress: {
        step: async (title, work, outcome) => {
          tell({ what: 'begin', text: title });
          const found = await work((text) => tell({ what: 'say', text }));
          tell({ what: 'end', text: outcome?.(found) ?? '' });
          return found;
        },
      },
    });
    tell({ what: 'done', result: formatResult(result) });
    gpu.destroy();
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    const result = soFar === undefined ? {} : { result: formatResult(soFar()) };
    tell({ what: 'failed', error: message, name, ...result });
  }
}

self.addEventListener('message', ({ data }: MessageEvent<Asked>) => {
  if (data.what === 'cancel') cancel.abort(new Error('interrupted'));
  else void run(data);
});
