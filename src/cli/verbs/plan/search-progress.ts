/** How far a search is, on stderr: a live line on a terminal, a line for every tenth elsewhere, nothing where a program reads. */
import { cliProgress } from '../../progress.ts';
import { complain } from '../../output.ts';

type OnProgress = (done: number, of: number) => void;

/** Lines that a search may print where nothing can be overwritten. */
const LINES = 10;

export async function tellSearch<T>(json: boolean, work: (onProgress: OnProgress) => Promise<T>): Promise<T> {
  if (process.stderr.isTTY || json) {
    return cliProgress(json).step('Simulating layouts', (say) => work((done, of) => say(`${done} of ${of}`)));
  }
  const start = performance.now();
  let told = 0;
  return work((done, of) => {
    const part = Math.floor((LINES * done) / of);
    if (part <= told) return;
    told = part;
    const seconds = ((performance.now() - start) / 1e3).toFixed(1).padStart(6);
    void complain(`[${seconds} s] ${done} of ${of} layouts simulated`);
  });
}
