/** What is going on, on stderr: a live line on a terminal, a line per step elsewhere. */
import type { Progress } from '../bench/progress.ts';
import { styleFor, terminalText } from '../report/style.ts';
import { startStep } from './live.ts';
import { wantsColour } from './output.ts';

/** @param quiet nothing at all, for `--json` whose reader is a program. */
export function cliProgress(quiet: boolean): Progress {
  if (process.stderr.isTTY && process.stderr.columns > 0 && !process.env.CI && process.env.TERM !== 'dumb')
    return liveProgress();
  return quiet ? { step: async (_title, work) => work(() => undefined) } : lineProgress();
}

function liveProgress(): Progress {
  const style = styleFor(wantsColour(process.stderr));
  return {
    async step(title, work, outcome) {
      const live = startStep(process.stderr, title, style);
      try {
        const result = await work((text) => live.say(text));
        const told = outcome === undefined ? title : `${title}: ${outcome(result)}`;
        live.end(terminalText(`${style.good('✔')} ${told}`));
        return result;
      } catch (error) {
        live.end(terminalText(`${style.bad('✖')} ${title}`));
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
