/** Serving measurements as settings of a projection: InferenceX and what AIConfigurator adds to it. */
import { csvParse } from 'd3-dsv';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hardwareNamed } from '../../../src/hardware/profiles/named.ts';
import type { Query } from '../../../src/hardware/queries.ts';
import { modelNamed } from '../../../src/planner/models/named.ts';
import type { ModelFacts } from '../../../src/planner/models/facts.ts';
import type { ProjectSetting } from '../../../src/planner/project/project.ts';
import { frameworkNamed, type FrameworkName } from '../../../src/planner/serving/framework.ts';
import { kernelUs } from '../../../src/planner/serving/kernels.ts';
import { stepPricer } from '../../../src/planner/serving/step-cost.ts';
import { precisionNamed } from '../../../src/planner/serving/precision.ts';
import { closedLoop } from '../../../src/planner/simulate/workload.ts';
import { mixtureLayers } from '../../../src/planner/models/facts.ts';

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

/** Lengths of InferenceX are drawn from 0.8 of the nominal ones on; the others are as they are named. */
const INFERENCEX = new Set(['1024 1024', '1024 8192', '8192 1024']);

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
    const [attnTp, attnDp, pp] = [number('attn_tp'), number('attn_dp') || 1, number('pp') || 1];
    const placement = {
      ...{ attnTp, attnDp, pp, gpusPerNode: hardware.node.gpus },
      moeTp: mixture ? number('moe_tp') || 1 : attnTp,
      ep: mixture ? number('ep') || 1 : 1,
      replicas: number('gpus') / (attnTp * attnDp * pp),
    };
    const precision = text('precision') === '' ? 'bf16' : precisionNamed(text('precision'));
    const concurrency = number('concurrency');
    const drawn = INFERENCEX.has(`${text('isl')} ${text('osl')}`);
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
        backend: frameworkNamed(text('backend')).name as FrameworkName,
        ...{ ttftMs: number('ttft_ms'), tpotMs: number('tpot_ms') },
        price,
        setting: {
          ...base,
          overlap,
          workload: closedLoop(
            { input: number('isl'), output: number('osl'), least: drawn ? 0.8 : 1 },
            concurrency,
            count,
          ),
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
