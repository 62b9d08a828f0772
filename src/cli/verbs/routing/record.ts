/** What a run is asked for so that its routing is recorded, and the file that it becomes. */
import type { MoeConfig } from '../../../model/config.ts';
import type { StepOptions, StepResult } from '../../../runtime/engine.ts';
import type { ExpertLoad } from '../../../runtime/expert-load.ts';
import { RoutingRecorder } from '../../../runtime/record-routing.ts';
import { writeTrace } from '../../../routing/trace/trace.ts';
import { checkOutput, writeWhole } from '../../files/files.ts';

export const RECORD_ROUTING = [
  '--record-routing <file>',
  'the experts of every token, for "moebius routing --trace"',
] as const;

const OTHER_TRACE = 'Name another place with --record-routing.';

export interface Recording {
  /** What steps are asked for whose experts somebody wants. */
  readonly step: StepOptions;
  /** Is given these steps. */
  readonly add: (step: StepResult) => void;
  /** Writes the trace, if one was asked for and there is a step of it. */
  readonly write: () => Promise<void>;
}

/** @param source told in the trace. @throws ConfigError for a place that cannot be written. */
export async function startRecording(
  options: {
    readonly recordRouting?: string;
    readonly metrics?: number;
    readonly onLoad?: (load: ExpertLoad) => void;
  },
  config: MoeConfig,
  source: string,
): Promise<Recording> {
  const { recordRouting, metrics, onLoad } = options;
  const wantsExperts = metrics !== undefined || recordRouting !== undefined || onLoad !== undefined;
  const step: StepOptions = {
    ...(metrics !== undefined && { timing: 'span' }),
    ...(wantsExperts && { experts: true }),
  };
  if (recordRouting === undefined) return { step, add: () => undefined, write: () => Promise.resolve() };
  await checkOutput(recordRouting, { remedy: OTHER_TRACE });
  const recorder = new RoutingRecorder(config, source);
  let steps = 0;
  return {
    step,
    add: (taken) => {
      recorder.add(taken);
      steps += 1;
    },
    write: async () => {
      if (steps > 0) await writeWhole(recordRouting, writeTrace(recorder.trace()), OTHER_TRACE);
    },
  };
}
