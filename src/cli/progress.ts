/** What is going on, on stderr: a live task list on a terminal, a line per step elsewhere. */
import { Listr, ListrLogger, ProcessOutput } from 'listr2';
import type { Progress } from '../bench/progress.ts';

/** @param quiet nothing at all, for `--json` whose reader is a program. */
export function cliProgress(quiet: boolean): Progress {
  if (process.stderr.isTTY && process.stderr.columns > 0 && !process.env.CI && process.env.TERM !== 'dumb')
    return liveProgress();
  return quiet ? { step: async (_title, work) => work(() => undefined) } : lineProgress();
}

function liveProgress(): Progress {
  const logger = new ListrLogger({ processOutput: new ProcessOutput(process.stderr, process.stderr) });
  return {
    async step(title, work, outcome) {
      let result: Awaited<ReturnType<typeof work>> | undefined;
      const list = new Listr(
        [
          {
            title,
            task: async (_context, task) => {
              result = await work((text) => (task.output = text));
              task.title = outcome === undefined ? title : `${title}: ${outcome(result)}`;
            },
          },
        ],
        {
          renderer: 'default',
          rendererOptions: { logger, collapseErrors: false },
          registerSignalListeners: false,
        },
      );
      await list.run();
      return result as Awaited<ReturnType<typeof work>>;
    },
  };
}

function lineProgress(): Progress {
  const start = performance.now();
  return {
    async step(title, work, outcome) {
      const result = await work(() => undefined);
      const seconds = ((performance.now() - start) / 1e3).toFixed(1).padStart(6);
      const told = outcome === undefined ? '' : `: ${outcome(result)}`;
      process.stderr.write(`[${seconds} s] ${title}${told}\n`);
      return result;
    },
  };
}
