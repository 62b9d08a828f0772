/** How long work tells what it is doing. The front ends draw it. */
export interface Progress {
  /**
   * Runs one step. @param work may call `say` with what it is at. @param outcome the step's result in a few words.
   */
  step<T>(
    title: string,
    work: (say: (text: string) => void) => Promise<T>,
    outcome?: (result: T) => string,
  ): Promise<T>;
}

export const SILENT: Progress = { step: (_title, work) => work(() => undefined) };

/** Where and why a run ended before its end. */
export interface Interruption {
  /** The step that was under way. */
  readonly during: string;
  readonly reason: string;
}
