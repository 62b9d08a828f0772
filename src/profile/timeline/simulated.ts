/** A simulation as a timeline, in the profiler's own tracks and slices: instances, the lanes of each, steps and their parts. */
import { at } from '../../core/math.ts';
import { STEP_PARTS, type StepPart } from '../../planner/serving/step-cost.ts';
import { SHARE_NAMES, type SimulationResult } from '../../planner/simulate/simulate.ts';
import type { Timeline, TimelineEvent, Track } from './timeline.ts';

type Stretches = SimulationResult['stretches'];

/** Tracks in the order of pools, instances and lanes. @param pools their names: 'prefill', 'decode'. */
export function timelineOfSimulation(stretches: Stretches, pools: readonly string[]): Timeline {
  const keyOf = ({ pool, instance, lane }: Stretches[number]): number =>
    (pool * 2 ** 16 + instance) * 2 ** 16 + lane;
  const lanes = [...new Map(stretches.map((one) => [keyOf(one), one]))].sort(([a], [b]) => a - b);
  const tracks: Track[] = [];
  const trackOf = new Map<number, number>();
  const parents = new Map<string, number>();
  const place = (name: string, parent: number | undefined): number => {
    const id = tracks.length + 1;
    tracks.push({ id, name, parent, rank: id });
    return id;
  };
  for (const [key, { pool, instance, lane }] of lanes) {
    const title = `${at(pools, pool)} instance ${instance} (modelled)`.trim();
    const parent = parents.get(title) ?? place(title, undefined);
    parents.set(title, parent);
    trackOf.set(key, place(`micro-batch lane ${lane}`, parent));
  }
  return {
    tracks,
    *events() {
      for (const stretch of stretches) yield* eventsOf(stretch, trackOf.get(keyOf(stretch)) ?? 0);
    },
  };
}

/** What stands for communication is nothing that computes. */
const categoryOf = (part: StepPart): string => (part === 'exposed' ? 'communication' : 'compute');

function* eventsOf(
  { beginUs, endUs, steps, load, time }: Stretches[number],
  track: number,
): Generator<TimelineEvent> {
  const ns = (us: number): number => Math.round(us * 1e3);
  const what = [
    ...(load.prompts > 0 ? [`${load.prompts} prompt tokens`] : []),
    ...(load.decodes > 0 ? [`${load.decodes} decodes`] : []),
  ];
  yield {
    ...{ kind: 'begin', track, ns: ns(beginUs), name: what.join(' + '), categories: ['step', 'modelled'] },
    args: { steps, decodes: load.decodes, prompts: load.prompts, context: Math.round(load.context) },
  };
  let us = beginUs;
  for (const part of STEP_PARTS) {
    const length = time[part] * steps;
    if (!(length > 0)) continue;
    // Parts of equal steps stand together. What a pipeline hands over comes after them.
    const end = Math.min(endUs, us + length);
    yield {
      ...{ kind: 'begin', track, ns: ns(us), name: SHARE_NAMES[part] },
      categories: [categoryOf(part), 'modelled'],
    };
    yield { kind: 'end', track, ns: ns(end) };
    us = end;
  }
  yield { kind: 'end', track, ns: ns(endUs) };
}
