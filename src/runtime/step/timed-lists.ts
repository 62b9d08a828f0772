/** Times of passes: on the device until somebody reads them, which waits for it. */
import type { SpanTime } from '../../gpu/span-timer.ts';
import type { SubmittedList } from '../../gpu/command-list.ts';
import type { Run } from '../../layout/layout.ts';

/** A list of a step that has been read, by the host's clock in ns. */
export interface SubmitTimes {
  /** When it was sent: nothing of it ran earlier. */
  readonly submittedNs: number;
  /** When the host had what came of it: nothing of it ran later. */
  readonly doneNs: number;
  /** Its passes among those of the step. */
  readonly spans: Run;
}

/** Times that wait to be read. Either is to be called once. */
export interface LaterTimes<S extends SpanTime = SpanTime> {
  /** @throws DeviceError when the device fails, is lost or closed; nothing is held then. */
  read(): Promise<{ readonly spans: readonly S[]; readonly submits: readonly SubmitTimes[] }>;
  /** For times that nobody will read. */
  discard(): void;
}

/** @param doneNs when the host had what came of all lists. Their tags are those of `S`. */
export function laterTimes<S extends SpanTime>(
  lists: readonly SubmittedList[],
  doneNs: number,
): LaterTimes<S> {
  const discard = (): void => {
    for (const list of lists) list.discard();
  };
  return {
    discard,
    read: async () => {
      const spans: S[] = [];
      const submits: SubmitTimes[] = [];
      try {
        for (const list of lists) {
          const own = (await list.spans()) as S[];
          const { submittedNs } = list;
          submits.push({ submittedNs, doneNs, spans: { first: spans.length, count: own.length } });
          for (const span of own) spans.push(span);
        }
      } finally {
        discard();
      }
      return { spans, submits };
    },
  };
}
