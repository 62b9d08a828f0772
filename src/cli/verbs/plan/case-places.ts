/** What the cells of a table of cases name: models, hardware and recorded routing, each file read once. */
import { ConfigError } from '../../../core/errors.ts';
import { cellText, type CaseRow } from '../../../hardware/case-columns.ts';
import { queryOf, type LayerShape } from '../../../hardware/cases.ts';
import type { Profile } from '../../../hardware/profiles/profile.ts';
import type { ModelFacts } from '../../../planner/models/facts.ts';
import { hottestLoads } from '../../../planner/serving/hottest.ts';
import {
  isRoutingPath,
  recordedRouting,
  routingNamed,
  type Routing,
  type RoutedShape,
} from '../../../planner/serving/routing.ts';
import { readTraces } from '../routing/load-trace.ts';
import { hardwareAt, modelAt } from './places.ts';

/** Each throws a ConfigError for a name that there is not, or a file that is none of its kind. */
export interface CasePlaces {
  readonly modelOf: (name: string) => ModelFacts;
  readonly hardwareOf: (name: string) => Profile;
  readonly routingOf: (text: string, shape: RoutedShape) => Routing;
}

/** Reads all files that rows name. What cannot be read is told to the rows that ask for it. */
export async function casePlaces(rows: readonly CaseRow[]): Promise<CasePlaces> {
  const cells = (column: string): string[] => rows.map((row) => cellText(row[column]) ?? '');
  const traces = await readEach(cells('routing').filter(isRoutingPath), readTraces);
  return {
    modelOf: await readEach(cells('model'), modelAt),
    hardwareOf: await readEach(cells('hardware'), hardwareAt),
    routingOf: (text, shape) =>
      isRoutingPath(text) ? recordedRouting(traces(text), shape, text) : routingNamed(text),
  };
}

async function readEach<T extends object>(
  texts: readonly string[],
  read: (text: string) => Promise<T>,
): Promise<(text: string) => T> {
  const found = new Map<string, T | ConfigError>();
  for (const text of new Set(texts)) {
    try {
      found.set(text, await read(text));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      found.set(text, error);
    }
  }
  return (text) => {
    const one = found.get(text) ?? new ConfigError(`there is nothing of the name "${text}".`);
    if (one instanceof ConfigError) throw one;
    return one;
  };
}

/** A row of an MoE layer whose routing is a trace: rows and experts of the hottest rank as the trace has them. */
export function withRecordedRouting(
  row: CaseRow,
  { routingOf }: CasePlaces,
  shapeOf: (model: string) => LayerShape,
): CaseRow {
  const text = cellText(row.routing);
  if (text === undefined || !isRoutingPath(text)) return row;
  const query = queryOf({ ...row, routing: '' }, shapeOf);
  if (query.op !== 'moe') throw new ConfigError(`${query.op} has no routing. Leave the trace out.`);
  const { experts, topk, ep = 1, slots = experts, tokens } = query;
  const routing = routingOf(text, { name: 'the row', experts, topK: topk });
  const { rows, activeExperts } = hottestLoads(routing, { experts, slots, topk, ep })(tokens);
  return { ...row, routing: '', rows: String(rows), active: String(activeExperts) };
}
