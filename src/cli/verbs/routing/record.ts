/** What a run is asked for so that its routing is recorded, and the file that it becomes. */
import type { MoeConfig } from '../../../model/config.ts';
import type { StepOptions, StepResult } from '../../../runtime/engine.ts';
import { RoutingRecorder } from '../../../runtime/record-routing.ts';
import { writeTrace } from '../../../routing/trace/trace.ts';
import { checkOutput, writeWhole } from '../../files/files.ts';

const OTHER_TRACE = 'Name another place with --record-routing.';

export interface Recording {
  /** What steps are asked for, and who is given them. */
  readonly asked: { readonly step: StepOptions; readonly onStep?: (step: StepResult) => void };
  /** Writes the trace, if one was asked for. */
  write(): Promise<void>;
}

/** @param source told in the trace. @throws ConfigError for a place that cannot be written. */
export async function startRecording(
  { recordRouting, metrics }: { readonly recordRouting?: string; readonly metrics?: number },
  config: MoeConfig,
  source: string,
): Promise<Recording> {
  const step: StepOptions = {
    ...(metrics !== undefined && { timing: 'span' }),
    ...((metrics !== undefined || recordRouting !== undefined) && { experts: true }),
  };
  if (recordRouting === undefined) return { asked: { step }, write: () => Promise.resolve() };
  await checkOutput(recordRouting, { remedy: OTHER_TRACE });
  const recorder = new RoutingRecorder(config, source);
  return {
    asked: { step, onStep: (taken) => recorder.add(taken) },
    write: () => writeWhole(recordRouting, writeTrace(recorder.trace()), OTHER_TRACE),
  };
}
