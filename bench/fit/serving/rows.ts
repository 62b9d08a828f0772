/** Serving measurements as settings of a projection: InferenceX and what AIConfigurator adds to it. */
import { csvParse } from 'd3-dsv';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hardwareNamed } from '../../../src/hardware/profiles/named.ts';
import type { Profile } from '../../../src/hardware/profiles/profile.ts';
import type { Query } from '../../../src/hardware/queries.ts';
import { modelNamed } from '../../../src/planner/models/named.ts';
import { countsOf, mixtureLayers, type ModelFacts } from '../../../src/planner/models/facts.ts';
import type { ProjectSetting } from '../../../src/planner/project/project.ts';
import { frameworkNamed, type FrameworkName } from '../../../src/planner/serving/framework.ts';
import { kernelUs, REACHED } from '../../../src/planner/serving/kernels.ts';
import { stepPricer } from '../../../src/planner/serving/step-cost.ts';
import { formatsOf, precisionNamed, type Precision } from '../../../src/planner/serving/precision.ts';
import { closedLoop, lengthsOfBenchmark } from '../../../src/planner/simulate/workload.ts';
import { startedAs } from './layouts.ts';

/** One measured deployment. */
export interface ServingRow {
  readonly id: string;
  readonly family: string;
  readonly model: ModelFacts;
  readonly system: string;
  readonly backend: FrameworkName;
  readonly mixture: boolean;
  readonly cells: Readonly<Record<string, string>>;
  readonly ttftMs: number;
  readonly tpotMs: number;
  readonly setting: Omit<ProjectSetting, 'framework'>;
  /** Its steps with any figures. */
  readonly price: ReturnType<typeof stepPricer>;
}

/** InferenceX sends ten requests for each that is there at once; more than so many change no mean. */
const ROUNDS = 10;
const MOST_REQUESTS = 5000;

/** Arithmetic that the row's rate would take, as a share of the printed peak. */
function arithmeticShare(
  model: ModelFacts,
  hardware: Profile,
  precision: Precision,
  row: { gpus: number; concurrency: number; input: number; output: number; ttftMs: number; tpotMs: number },
): number {
  const { peakTflops } = hardware;
  const { multiplier } = formatsOf(model, precision, hardware).experts;
  const peak = (peakTflops[multiplier] ?? peakTflops.bf16 ?? Infinity) * 1e12 * row.gpus;
  const seconds = (row.ttftMs + row.tpotMs * (row.output - 1)) / 1e3;
  const tokens = (row.concurrency * (row.input + row.output)) / seconds;
  return (tokens * 2 * countsOf(model).active) / peak;
}

/** Rows that are one deployment of one instance each: those with disaggregation are left out. */
export function servingRows(folder: string): ServingRow[] {
  const table = csvParse(readFileSync(join(folder, 'inferencex/serving.csv'), 'utf8'));
  const prices = new Map<string, ReturnType<typeof stepPricer>>();
  const kernels = new Map<string, (query: Query) => number>();
  return table.flatMap((cells: Readonly<Record<string, string>>) => {
    if (cells.usable !== '1' || cells.mode !== 'agg') return [];
    const text = (column: string): string => cells[column] ?? '';
    const number = (column: string): number => Number(text(column));
    const model = modelNamed(text('model'));
    const hardware = hardwareNamed(text('system'));
    const mixture = mixtureLayers(model) > 0;
    const [gpus, ttftMs, tpotMs] = [number('gpus'), number('ttft_ms'), number('tpot_ms')];
    const pp = number('pp') || 1;
    const precision = text('precision') === '' ? 'bf16' : precisionNamed(text('precision'));
    const concurrency = number('concurrency');
    const [input, output] = [number('isl'), number('osl')];
    const backend = frameworkNamed(text('backend')).name;
    const layout = startedAs({
      ...{ model: model.name, hardware: hardware.name, backend, precision, date: text('date') },
      ...{ isl: input, osl: output, concurrency, gpus },
      layout: {
        ...{ attnTp: number('attn_tp'), attnDp: number('attn_dp') || 1 },
        moeTp: mixture ? number('moe_tp') || 1 : number('attn_tp'),
        ep: mixture ? number('ep') || 1 : 1,
      },
    });
    const { attnTp, attnDp } = layout;
    const placement = {
      ...layout,
      ...{ pp, gpusPerNode: hardware.node.gpus },
      replicas: gpus / (attnTp * attnDp * pp),
    };
    // Whoever is faster than products ever are has read prompts from a cache, which the table does not say.
    const whole = { gpus, concurrency, input, output, ttftMs, tpotMs };
    if (arithmeticShare(model, hardware, precision, whole) > REACHED.compute) return [];
    const count = Math.max(concurrency + 8, Math.min(MOST_REQUESTS, ROUNDS * concurrency));
    const us = kernels.get(hardware.name) ?? remembered((query) => Math.max(1e-6, kernelUs(query, hardware)));
    kernels.set(hardware.name, us);
    const base = { model, hardware, placement, precision, us, routing: { kind: 'uniform' as const } };
    const overlap = attnDp > 1 && placement.ep > 1 && attnTp * attnDp > placement.gpusPerNode;
    const name = JSON.stringify([model.name, hardware.name, placement, precision]);
    const price = prices.get(name) ?? stepPricer({ ...base, overlap });
    prices.set(name, price);
    return [
      {
        id: text('id'),
        family: `${model.name} ${hardware.name}`,
        ...{ model, system: hardware.name, mixture, cells },
        backend,
        ...{ ttftMs, tpotMs },
        price,
        setting: {
          ...base,
          overlap,
          workload: closedLoop(lengthsOfBenchmark(input, output), concurrency, count),
        },
      },
    ];
  });
}

/** The same question gets the same answer without another look. */
function remembered(us: (query: Query) => number): (query: Query) => number {
  const known = new Map<string, number>();
  return (query) => {
    const name = JSON.stringify(query);
    const found = known.get(name) ?? us(query);
    known.set(name, found);
    return found;
  };
}
