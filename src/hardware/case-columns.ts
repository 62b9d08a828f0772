/** Columns of a table of operations, by any common spelling of a heading, and the cells of one row. */
import { ConfigError } from '../core/errors.ts';
import { quoted } from '../core/text/quoted.ts';

/** A row as a CSV file gives it: texts by column, '' where the file has none. */
export type CaseRow = Readonly<Record<string, string | undefined>>;

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
  tokens: ['tokenspergpu', 'tokensperrank', 'numtokens', 'ntokens', 't'],
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
  topk: ['numtopk', 'numexpertspertok', 'expertspertoken'],
  tp: ['moetp', 'moetpsize', 'tpsize'],
  ep: ['moeep', 'moeepsize', 'epsize'],
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
  kv: ['kvlen', 'context', 'contextlen', 'contextlength', 'kvcachelen'],
  ranks: ['gpus', 'numgpus', 'workers', 'numworkers', 'numranks', 'worldsize'],
  nodes: ['numnodes'],
  bytes: ['size', 'messagebytes', 'messagesize', 'sizebytes', 'nbytes'],
  mode: ['kernel'],
  sms: ['numsms'],
  lib: ['library', 'backend', 'framework', 'variant'],
  version: [],
};

/** Lower case, without separators. */
export const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]/g, '');

const BY_SPELLING = new Map(
  Object.entries(COLUMNS).flatMap(([name, others]) => [name, ...others].map((one) => [plain(one), name])),
);

/** The column that a heading names, in any common spelling; undefined for none that an operation has. */
export function opColumn(heading: string): string | undefined {
  return BY_SPELLING.get(plain(heading));
}

/** Names of all columns that an operation may have. */
export const OP_COLUMNS: readonly string[] = Object.keys(COLUMNS);

/** What tools write where there is no value. */
const NOTHING = /^(none|null|n\/?a|-)?$/i;

/** The text of a cell; undefined where nothing is said. */
export function cellText(text: string | undefined): string | undefined {
  const trimmed = (text ?? '').trim();
  return NOTHING.test(trimmed) ? undefined : trimmed;
}

/** Reads cells of one row by column. */
export class Cells {
  private readonly cells: CaseRow;
  private readonly op: string;

  constructor(cells: CaseRow, op: string) {
    this.cells = cells;
    this.op = op;
  }

  text(column: string): string | undefined {
    return cellText(this.cells[column]);
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
