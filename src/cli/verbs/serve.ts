/** `moebius serve`: the page, which does in Chrome what the commands do here. */
import type { Server } from 'node:http';
import type { Command } from 'commander';
import { requireOptions, type Fields } from '../../core/given.ts';
import { interruption } from '../process/interrupt.ts';
import { integer, requireInteger, type GlobalOptions } from '../options.ts';
import { printJson, printLines } from '../output.ts';
import { servePage } from '../serve/server.ts';

/** Options of `serve`, those of `moebius serve`. */
export interface ServeOptions {
  /** Of 127.0.0.1; 0 takes any that is free. */
  readonly port?: number;
}

/** A page that is being served, until `close`. */
export interface ServedPage {
  readonly url: string;
  /** Ends it; who still reads is cut off. */
  close(): Promise<void>;
}

/** TCP's. */
const MOST_PORT = 65_535;
const PORT = 8137;
const OPTIONS: Fields = { port: 'number?' };

/** Serves the built page to this machine only. @throws ConfigError when it is not built, or the port is taken. */
export async function serve(options: ServeOptions = {}): Promise<ServedPage> {
  requireOptions('serve', options, OPTIONS);
  const { port = PORT } = options;
  requireInteger('port', port, 0, MOST_PORT);
  const { server, url } = await servePage(port);
  return { url, close: () => closed(server) };
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

interface CommandOptions extends GlobalOptions {
  readonly port: number;
}

export function describeServe(command: Command): Command {
  return command
    .description(
      'Serves the page to this machine: checks, times, layouts and text on the WebGPU of a browser. Nothing is sent ' +
        'anywhere; the page may run its own scripts only. Ctrl-C ends it.',
    )
    .option('--port <n>', 'of 127.0.0.1; 0 takes any that is free', integer(0, MOST_PORT), PORT)
    .addHelpText(
      'after',
      `
Examples:
  moebius serve
  moebius serve --port 0 --json`,
    )
    .action(async (_options: object, command: Command) => {
      const { port, json } = command.optsWithGlobals<CommandOptions>();
      const page = await serve({ port });
      await (json
        ? printJson({ url: page.url })
        : printLines([`${page.url} has the page. Open it in Chrome 123 or newer; Ctrl-C ends this.`]));
      await interrupted();
      await page.close();
    });
}

function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    interruption()?.addEventListener('abort', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}
