/**
 * The public API of Moebius in a page or a dedicated worker of it: nothing below it imports a module of Node's, and
 * nothing needs a document.
 */

// The machine: the browser's adapter, shaders that came with the page, files by `fetch`.
export { webPlatform, type WebOptions } from './platform/web/web.ts';

// What Node has as verbs, on a device that is open.
export { runBench, type BenchInputs } from './bench/run.ts';
export type { BenchLive } from './bench/live.ts';
export { loadBenchModel, type BenchModel } from './bench/model/bench-model.ts';
export type { Progress } from './bench/progress.ts';
export { validate, type ValidateInputs } from './bench/validate.ts';
export { formatResult } from './report/file/result-file.ts';

export * from './portable.ts';
