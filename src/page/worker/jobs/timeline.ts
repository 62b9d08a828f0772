/** One step with instruments: where its time went, and what each stage of the pipeline did when. */
import { range } from '../../../core/math.ts';
import { globalRank, planLayout } from '../../../layout/layout.ts';
import { formatLayout, parseLayout } from '../../../layout/spec.ts';
import { profileRuns } from '../../../profile/profile.ts';
import { stepSubject } from '../../../profile/subjects/engine-step.ts';
import { slotsOf } from '../../../runtime/step/virtual-cluster.ts';
import { perfettoTrace } from '../../../profile/timeline/perfetto.ts';
import { timelineOf } from '../../../profile/timeline/timeline.ts';
import { createEngine } from '../../../runtime/engine.ts';
import type { JobOf } from '../../protocol/jobs.ts';
import type { OutcomeOf } from '../../protocol/reports.ts';
import type { JobContext } from '../context.ts';
import { tinyMoe } from '../models.ts';

/** Bare steps, and as many instrumented. */
const ROUNDS = 3;

export async function timelineJob(
  job: JobOf<'timeline'>,
  context: JobContext,
): Promise<OutcomeOf<'timeline'>> {
  const { batch, tokens, step } = job;
  const { steps, base } = context;
  const spec = parseLayout(job.layout);
  const model = await steps.step('Load the model', (say) => tinyMoe(base, say));
  const layout = planLayout(spec, model.config);
  const ids = (count: number, sequence: number): number[] =>
    range(count).map((i) => (7 * i + sequence) % model.config.vocabSize);
  const ofAll = (count: number) => range(batch).map((sequence) => ({ sequence, ids: ids(count, sequence) }));
  const gpu = await context.openGpu();
  const engine = await steps.step(`Prepare ${layout.worldSize} ranks: weights, kernels`, () =>
    createEngine(gpu, {
      ...{ layout, weights: model, maxSequences: batch, maxLength: tokens + 1, maxStepTokens: tokens },
    }),
  );
  try {
    const subject =
      step === 'prefill' ? stepSubject(engine, ofAll(tokens)) : stepSubject(engine, ofAll(1), ofAll(tokens));
    const { account, cluster, run, axis } = await steps.step('Profile steps', (say) =>
      profileRuns(subject, { detail: 'pass', rounds: ROUNDS, say }),
    );
    const name = (stage: number, rank: number): string => `rank ${globalRank(layout, stage, rank)}`;
    const trace = await joined(perfettoTrace(timelineOf(run, cluster, name, axis)));
    return {
      ...{ kind: 'timeline', layout: formatLayout(spec), wallNs: account.wallNs, clusterNs: cluster.wallNs },
      microBatches: new Set(cluster.slices.map(({ microBatch }) => microBatch)).size,
      rows: account.rows.map(({ group, name: row, ns, share, calls }) => ({
        group,
        name: row,
        ns,
        share,
        calls,
      })),
      parts: account.rows.flatMap(({ stage, operation, ns }) =>
        stage === undefined || operation === undefined || ns <= 0
          ? []
          : [{ stage: `stage ${stage}`, phase: operation, ns }],
      ),
      slots: slotsOf(cluster).map(({ stage, microBatch, beginNs, ns }) => ({
        stage,
        microBatch,
        beginNs,
        ns,
      })),
      trace,
    };
  } finally {
    engine.destroy();
  }
}

async function joined(pieces: Iterable<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await new Blob([...pieces] as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}
