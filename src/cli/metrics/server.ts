/** `--metrics`: figures of a run while it goes, for Prometheus and whoever reads OpenMetrics, on this machine only. */
import { createServer, type Server } from 'node:http';
import { ConfigError } from '../../core/errors.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { integer, requireInteger } from '../options.ts';
import { complain } from '../output.ts';
import type { ExpertLoad } from '../../runtime/expert-load.ts';
import { watchLoad } from './load.ts';
import { packageVersion } from '../package.ts';
import { withGpu } from '../session.ts';

/** A TCP port has 16 bits. */
const MOST_PORT = 65535;
const LOOPBACK = '127.0.0.1';
/** Readers that are being answered may finish for so long when the run has ended, ms. */
const GRACE_MS = 500;

export const METRICS = [
  '--metrics <port>',
  'OpenMetrics of the run at 127.0.0.1:<port>/metrics while it goes; 0 takes a free port',
  integer(0, MOST_PORT),
] as const;

/**
 * Runs `work` with figures of it at a port of this machine; they end with it.
 * @param port undefined: nobody is told anything.
 * @throws ConfigError for a port that cannot be had; then nothing has been run.
 */
export async function withMetrics<T>(
  port: number | undefined,
  verb: string,
  work: (watch: (gpu: Gpu) => void) => Promise<T>,
): Promise<T> {
  if (port === undefined) return work(() => undefined);
  requireInteger('metrics', port, 0, MOST_PORT);
  // It takes a while to load, and hardly any run needs it.
  const { stepMetrics } = await import('./step-metrics.ts');
  const { registry, watch } = stepMetrics(verb, packageVersion());
  const server = createServer((request, response) => {
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    if (!isRead || new URL(request.url ?? '/', 'http://localhost').pathname !== '/metrics') {
      response.writeHead(isRead ? 404 : 405, { 'content-type': 'text/plain' }).end('GET /metrics\n');
      return;
    }
    void registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  const ends: (() => void)[] = [];
  try {
    await listen(server, port);
    await complain(`metrics: http://${LOOPBACK}:${portOf(server)}/metrics, as long as this runs`);
    return await work((gpu) => void ends.push(watch(gpu)));
  } finally {
    for (const end of ends) end();
    await close(server);
  }
}

/** Who is told of the steps of a run. */
export interface WatchOptions {
  readonly metrics?: number;
  /** Of steps that have their experts. */
  readonly onLoad?: (load: ExpertLoad) => void;
}

/** `withGpu` for a verb whose steps can be watched. @throws ConfigError as both. */
export function withWatchedGpu<T>(
  verb: string,
  options: Parameters<typeof withGpu>[0] & WatchOptions,
  work: (gpu: Gpu) => Promise<T>,
): Promise<T> {
  return withMetrics(options.metrics, verb, (watch) =>
    withGpu(options, (gpu) => {
      watch(gpu);
      const end = options.onLoad === undefined ? () => undefined : watchLoad(gpu, options.onLoad);
      return work(gpu).finally(end);
    }),
  );
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program has it',
  EACCES: 'you may not have it',
};

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = WHY[error.code ?? ''] ?? error.message;
      reject(
        new ConfigError(
          `port ${port} cannot be had for --metrics: ${why}. Name another, or 0 for a free one.`,
        ),
      );
    });
    server.listen(port, LOOPBACK, resolve);
  });
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const late = setTimeout(() => server.closeAllConnections(), GRACE_MS);
  await closed;
  clearTimeout(late);
}
