/** What is going on, on stderr: a live line on a terminal, a line per step elsewhere. */
import type { Progress } from '../bench/progress.ts';
import { printable } from '../core/text/printable.ts';
import { styleFor, terminalText } from '../report/terminal/style.ts';
import { wantsColour } from './output.ts';

/** Whether somebody watches stderr: a terminal that can rewrite its lines. */
export function isWatched(): boolean {
  const { isTTY, columns } = process.stderr;
  return isTTY && columns > 0 && !process.env.CI && process.env.TERM !== 'dumb';
}

/**
 * @param quiet nothing at all, for `--json` whose reader is a program.
 * @param note of a live line: one more below it, where there is any.
 */
export function cliProgress(quiet: boolean, note: () => string | undefined = () => undefined): Progress {
  if (isWatched()) return liveProgress(note);
  return quiet ? { step: async (_title, work) => work(() => undefined) } : lineProgress();
}

/** The cursor stays visible and stdin as it is, so that the process may end at any moment, by whatever signal. */
function liveProgress(note: () => string | undefined): Progress {
  const coloured = wantsColour(process.stderr);
  const style = styleFor(coloured);
  return {
    async step(title, work, outcome) {
      // Loaded for a terminal only: it leaves a mark on globalThis.
      const { default: ora } = await import('ora');
      const spinner = ora({
        ...{ text: terminalText(title), stream: process.stderr, color: coloured && 'yellow' },
        ...{ hideCursor: false, discardStdin: false },
      }).start();
      const end = (symbol: string, text: string): unknown =>
        spinner.stopAndPersist({ symbol, text: terminalText(text) });
      try {
        const result = await work((text) => {
          const more = note();
          const below = more === undefined ? '' : `\n${style.dim(`    ${printable(more)}`)}`;
          spinner.text = `${terminalText(title)}\n${style.dim(`  › ${printable(text)}`)}${below}`;
        });
        end(style.good('✔'), outcome === undefined ? title : `${title}: ${outcome(result)}`);
        return result;
      } catch (error) {
        end(style.bad('✖'), title);
        throw error;
      }
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
      process.stderr.write(`${terminalText(`[${seconds} s] ${title}${told}`)}\n`);
      return result;
    },
  };
}
