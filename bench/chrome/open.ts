/** A page with a worker for the bench, built by Vite, served on loopback and opened in headless Chromium. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { build, preview } from 'vite';
import { findChromium } from '../../src/platform/node/chromium.ts';
import type { Asked, Told } from './page/worker.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export interface BenchPage {
  ask(asked: Asked): Promise<void>;
  /** Ends when the page has closed. */
  readonly told: AsyncIterable<Told>;
}

/** Opens the page, runs `work` with it, and closes all that was opened. */
export async function withBenchPage<T>(work: (page: BenchPage) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'moebius-bench-chrome-'));
  const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const common = { root: here('page'), configFile: false as const, logLevel: 'warn' as const };
    await build({
      ...common,
      publicDir: false,
      resolve: { alias: [{ find: /^moebius\/web$/, replacement: here('../../src/web.ts') }] },
      worker: { format: 'es' },
      build: {
        ...{ target: 'esnext', outDir: folder, emptyOutDir: true, chunkSizeWarningLimit: 2000 },
        // How long it took to build on a busy machine is no word about the bench.
        rolldownOptions: { checks: { bundlerTimings: false } },
      },
    });
    await cp(here('../models/tiny-moe'), join(folder, 'tiny-moe'), { recursive: true });
    const server = await preview({
      ...common,
      build: { outDir: folder },
      preview: { host: '127.0.0.1', port: 0 },
    });
    closers.unshift(() => server.close());
    const { executablePath, args, env } = await findChromium();
    const browser = await chromium.launch({
      ...{ executablePath, args: [...args], env: { ...process.env, ...env } },
      // Ctrl-C of a terminal goes to us, who ask the worker to end.
      handleSIGINT: false,
    });
    closers.unshift(() => browser.close());
    const page = await browser.newPage();
    const queue = new TransformStream<Told, Told>(undefined, { highWaterMark: Infinity });
    const writer = queue.writable.getWriter();
    const end = (): void => void writer.close().catch(() => undefined);
    page.on('close', end);
    page.on('crash', end);
    await page.exposeFunction('tellBench', (told: Told) => void writer.write(told).catch(() => undefined));
    await page.goto(server.resolvedUrls?.local[0] ?? '');
    return await work({
      ask: (asked) =>
        page.evaluate((said) => {
          (globalThis as unknown as { toWorker(asked: unknown): void }).toWorker(said);
        }, asked),
      told: queue.readable as unknown as AsyncIterable<Told>,
    });
  } finally {
    for (const close of closers) await close().catch(() => undefined);
  }
}
