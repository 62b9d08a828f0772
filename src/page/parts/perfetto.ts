/** Hands a trace to Perfetto's page: it is asked until it answers, and then gets the bytes. */

const PERFETTO = 'https://ui.perfetto.dev';
/** A first load of its page. A guess. */
const PATIENCE_MS = 30_000;

/** Undefined when it has the trace; else what went wrong. */
export function openInPerfetto(trace: Uint8Array): Promise<string | undefined> {
  const opened = window.open(PERFETTO);
  if (opened === null)
    return Promise.resolve('The browser opened no window. Allow it, or save the trace and open it there.');
  return new Promise((resolve) => {
    const end = (why?: string): void => {
      clearInterval(asking);
      clearTimeout(patience);
      removeEventListener('message', hear);
      resolve(why);
    };
    const hear = ({ source, data }: MessageEvent<unknown>): void => {
      if (source !== opened || data !== 'PONG') return;
      const buffer = trace.slice().buffer;
      opened.postMessage({ perfetto: { buffer, title: 'A step of Moebius' } }, PERFETTO);
      end();
    };
    const asking = setInterval(() => opened.postMessage('PING', PERFETTO), 100);
    const patience = setTimeout(
      () => end('Perfetto did not answer; it needs a network. Save the trace and open it there later.'),
      PATIENCE_MS,
    );
    addEventListener('message', hear);
  });
}
