/** Operations as rows of a table: the columns of `moebius project --cases` that name one, and the query that a row makes. */
import { ConfigError } from '../core/errors.ts';
import { didYouMean } from '../core/text/near-names.ts';
import { quoted } from '../core/text/quoted.ts';
import { skewOf } from './curves/moe.ts';
import { hardwareNamed } from './profiles/named.ts';
import type { Profile } from './profiles/profile.ts';
import type { Collective, Query, Timing } from './queries.ts';
import { timeOf } from './time-of.ts';

/** A row as a CSV file gives it: texts by column, '' where the file has none. */
export type CaseRow = Readonly<Record<string, string | undefined>>;

/** The shape of a model's MoE layer, for rows that name a model in place of sizes. */
export interface LayerShape {
  readonly hidden: number;
  readonly inter: number;
  readonly experts: number;
  readonly topk: number;
}

/** Columns and other names for them, in lower case without separators. */
const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  id: ['name', 'case'],
  op: ['operation', 'kind'],
  hardware: ['system', 'gpu', 'hw', 'device'],
  model: [],
  dtype: ['precision', 'quant', 'datatype', 'kvdtype', 'kvcachedtype'],
  m: [],
  n: [],
  k: [],
  tokens: ['tokenspergpu', 'tokensperrank', 'numtokens', 't'],
  hidden: ['hiddensize', 'modeldim', 'dmodel'],
  inter: [
    'intersize',
    'intermediate',
    'intermediatesize',
    'moeinter',
    'expertdim',
    'ffn',
    'moeintermediatesize',
  ],
  experts: ['numexperts', 'nexperts'],
  topk: ['numtopk', 'expertspertoken'],
  tp: ['moetp'],
  ep: ['moeep'],
  routing: ['dist', 'skew', 'distribution'],
  slots: ['expertslots', 'numslots'],
  rows: ['hottestrows'],
  active: ['activeexperts', 'activatedexperts'],
  heads: ['numheads', 'nheads'],
  kv_heads: ['numkvheads', 'nkvheads'],
  head_dim: ['headsize'],
  batch: ['batchsize', 'batchpergpu'],
  seq: ['s', 'isl', 'seqlen', 'sequence'],
  prefix: ['cached'],
  kv: ['kvlen', 'context', 'contextlen', 'kvcachelen'],
  ranks: ['gpus', 'numgpus', 'workers', 'numranks', 'worldsize'],
  nodes: ['numnodes'],
  bytes: ['size', 'messagebytes', 'sizebytes'],
  mode: ['kernel'],
  sms: ['numsms'],
  lib: ['library', 'backend', 'framework', 'variant'],
  version: [],
};

const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]/g, '');

const BY_SPELLING = new Map(
  Object.entries(COLUMNS).flatMap(([name, others]) => [name, ...others].map((one) => [plain(one), name])),
);

/** The column that a heading names, in any common spelling; undefined for none that an operation has. */
export function opColumn(heading: string): string | undefined {
  return BY_SPELLING.get(plain(heading));
}

/** Names of all columns that an operation may have. */
export const OP_COLUMNS: readonly string[] = Object.keys(COLUMNS);

const OPS: Readonly<Record<Query['op'], readonly string[]>> = {
  gemm: ['matmul', 'linear'],
  moe: ['moelayer', 'fusedmoe', 'groupedgemm'],
  'attention-prefill': ['prefill', 'contextattention', 'mhaprefill', 'gqaprefill'],
  'attention-decode': ['decode', 'generationattention', 'mhadecode', 'gqadecode'],
  'mla-prefill': ['contextmla'],
  'mla-decode': ['generationmla'],
  all_reduce: [],
  all_gather: [],
  reduce_scatter: [],
  alltoall: ['all_to_all'],
  'ep-dispatch': ['dispatch', 'deepepdispatch', 'moedispatch'],
  'ep-combine': ['combine', 'deepepcombine', 'moecombine'],
};

const BY_OP = new Map(
  Object.entries(OPS).flatMap(([name, others]) =>
    [name, ...others].map((one) => [plain(one), name as Query['op']]),
  ),
);

/** Reads cells of one row by column. */
class Cells {
  private readonly cells: CaseRow;
  private readonly op: string;

  constructor(cells: CaseRow, op: string) {
    this.cells = cells;
    this.op = op;
  }

  text(column: string): string | undefined {
    const text = this.cells[column]?.trim();
    return text === undefined || text === '' ? undefined : text;
  }

  number(column: string): number | undefined {
    const text = this.text(column);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!(value > 0 && Number.isFinite(value))) {
      throw new ConfigError(`${column} is ${quoted(text)}; it must be a positive number.`);
    }
    return value;
  }

  needed(column: string, otherwise?: number): number {
    const value = this.number(column) ?? otherwise;
    if (value === undefined) throw new ConfigError(`${this.op} needs ${column}.`);
    return value;
  }
}

/**
 * The query that a row asks. Keys of the row are column names as `opColumn` gives them.
 * @param shapeOf the MoE layer of a model by name, for rows without sizes.
 * @throws ConfigError for an operation, a hardware or a dtype that there is not, or a size that is missing or not positive.
 */
export function queryOf(row: CaseRow, shapeOf?: (model: string) => LayerShape): Query {
  const op = BY_OP.get(plain(row.op ?? ''));
  if (op === undefined) {
    const names = Object.keys(OPS);
    throw new ConfigError(
      `there is no op ${quoted(row.op ?? '')}${didYouMean(row.op ?? '', names)}. There is: ${names.join(', ')}.`,
    );
  }
  const cells = new Cells(row, op);
  const model = cells.text('model');
  const shape = model === undefined ? undefined : shapeOf?.(model);
  const lib = cells.text('lib');
  return { ...sizesOf(op, cells, shape), ...(lib === undefined ? {} : { lib: lib.toLowerCase() }) };
}

function sizesOf(op: Query['op'], cells: Cells, shape: LayerShape | undefined): Query {
  const dtype = cells.text('dtype');
  const ofDtype = dtype === undefined ? {} : { dtype };
  switch (op) {
    case 'gemm':
      return {
        op,
        m: cells.needed('m'),
        n: cells.needed('n'),
        k: cells.needed('k'),
        dtype: dtype ?? 'bfloat16',
      };
    case 'moe':
      return moeOf(cells, shape, dtype ?? 'bfloat16');
    case 'attention-prefill':
    case 'attention-decode': {
      const heads = cells.needed('heads');
      const kvHeads = cells.needed('kv_heads', heads);
      const headDim = cells.needed('head_dim', 128);
      const base = { batch: cells.needed('batch', 1), heads, kvHeads, headDim, ...ofDtype };
      if (op === 'attention-decode') return { op, ...base, kv: cells.needed('kv', cells.number('seq')) };
      return { op, ...base, seq: cells.needed('seq'), ...given(cells, 'prefix', 'prefix') };
    }
    case 'mla-prefill':
      return {
        op,
        batch: cells.needed('batch', 1),
        seq: cells.needed('seq'),
        heads: cells.needed('heads', 128),
        ...ofDtype,
      };
    case 'mla-decode': {
      const kv = cells.needed('kv', cells.number('seq'));
      return { op, batch: cells.needed('batch', 1), kv, heads: cells.needed('heads', 128), ...ofDtype };
    }
    case 'ep-dispatch':
    case 'ep-combine':
      return {
        ...{ op, tokens: cells.needed('tokens'), hidden: cells.needed('hidden', shape?.hidden) },
        ...{ experts: cells.needed('experts', shape?.experts), topk: cells.needed('topk', shape?.topk) },
        ...{ ranks: cells.needed('ranks', cells.number('ep')), ...ofDtype },
        ...given(cells, 'nodes', 'nodes'),
        ...given(cells, 'sms', 'sms'),
        ...modeOf(cells),
      };
    case 'all_reduce':
    case 'all_gather':
    case 'reduce_scatter':
    case 'alltoall':
      return collectiveOf(op, cells);
  }
}

function collectiveOf(op: Collective, cells: Cells): Query {
  return {
    op,
    bytes: cells.needed('bytes'),
    ranks: cells.needed('ranks'),
    ...given(cells, 'nodes', 'nodes'),
  };
}

function moeOf(cells: Cells, shape: LayerShape | undefined, dtype: string): Query {
  const routing = (cells.text('routing') ?? 'balanced').toLowerCase();
  return {
    ...{ op: 'moe', tokens: cells.needed('tokens'), dtype },
    ...{ hidden: cells.needed('hidden', shape?.hidden), inter: cells.needed('inter', shape?.inter) },
    ...{ experts: cells.needed('experts', shape?.experts), topk: cells.needed('topk', shape?.topk) },
    ...given(cells, 'tp', 'tp'),
    ...given(cells, 'ep', 'ep'),
    ...given(cells, 'slots', 'slots'),
    ...given(cells, 'rows', 'rows'),
    ...(/eplb/.test(routing) ? { placed: true } : {}),
    ...given(cells, 'active', 'activeExperts'),
    skew: skewOf(routing),
  };
}

function given(cells: Cells, column: string, field: string): Record<string, number> {
  const value = cells.number(column);
  return value === undefined ? {} : { [field]: value };
}

const MODES: Readonly<Record<string, string>> = {
  lowlatency: 'low-latency',
  ll: 'low-latency',
  normal: 'normal',
  highthroughput: 'normal',
  onesided: 'one-sided',
  nvlinkonesided: 'one-sided',
  twosided: 'two-sided',
  nvlinktwosided: 'two-sided',
};

function modeOf(cells: Cells): { mode?: string } {
  const text = cells.text('mode');
  if (text === undefined) return {};
  const mode = MODES[plain(text)];
  if (mode === undefined) {
    throw new ConfigError(
      `there is no mode ${quoted(text)}. There is: ${[...new Set(Object.values(MODES))].join(', ')}.`,
    );
  }
  return { mode };
}

/** What the world of a table knows beside the profiles. */
export interface CaseNames {
  /** The MoE layer of a model by name, for rows without sizes. */
  readonly shapeOf?: (model: string) => LayerShape;
  /** Hardware that a row names; undefined for one that it does not know. */
  readonly hardwareOf?: (name: string) => Profile | undefined;
}

/** GPUs of a tray of an NVLink domain: what tables of measurements count as its node. */
const TRAY = 4;

/** Ranks that a row leaves out fill the nodes that it names. */
function withRanks(row: CaseRow, { node }: Profile): CaseRow {
  const empty = (column: string): boolean => (row[column] ?? '').trim() === '';
  const nodes = Number(row.nodes);
  if (!empty('ranks') || !empty('ep') || empty('nodes') || !Number.isInteger(nodes)) return row;
  return { ...row, ranks: String(nodes * (node.gpus > 8 ? TRAY : node.gpus)) };
}

/** How long the operation of a row takes, and where that is from. @throws ConfigError as `queryOf`. */
export function projectOp(row: CaseRow, { shapeOf, hardwareOf }: CaseNames = {}): Timing {
  const name = row.hardware ?? '';
  if (name.trim() === '') throw new ConfigError(`${queryOf(row, shapeOf).op} needs hardware.`);
  const hardware = hardwareOf?.(name) ?? hardwareNamed(name);
  return timeOf(queryOf(withRanks(row, hardware), shapeOf), hardware);
}
