/** Operations as rows of a table: the columns of `moebius project --cases` that name one, and the query that a row makes. */
import { ConfigError } from '../core/errors.ts';
import { didYouMean } from '../core/text/near-names.ts';
import { quoted } from '../core/text/quoted.ts';
import { Cells, cellText, plain, type CaseRow } from './case-columns.ts';
import { hardwareNamed } from './profiles/named.ts';
import type { Profile } from './profiles/profile.ts';
import type { Collective, Query, Timing } from './queries.ts';
import { routingOf } from './routing-names.ts';
import { timeOf } from './time-of.ts';

/** The shape of a model's layer, for rows that name a model in place of sizes. */
export interface LayerShape {
  readonly hidden: number;
  /** Of the routed experts; absent in a dense model. */
  readonly moe?: { readonly inter: number; readonly experts: number; readonly topk: number };
  /** All heads; latent ones have neither keys of their own nor a width that a row may choose. */
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly latent: boolean;
}

const OPS: Readonly<Record<Query['op'], readonly string[]>> = {
  gemm: ['matmul', 'linear'],
  moe: ['moelayer', 'fusedmoe', 'groupedgemm'],
  'attention-prefill': ['attentioncontext', 'contextattention', 'mhaprefill', 'gqaprefill', 'prefill'],
  'attention-decode': ['attentiongeneration', 'generationattention', 'mhadecode', 'gqadecode', 'decode'],
  'mla-prefill': ['contextmla'],
  'mla-decode': ['generationmla'],
  all_reduce: ['nccl_all_reduce', 'custom_allreduce'],
  all_gather: ['nccl_all_gather'],
  reduce_scatter: ['nccl_reduce_scatter'],
  alltoall: ['all_to_all', 'nccl_alltoall'],
  'ep-dispatch': ['dispatch', 'deepepdispatch', 'moedispatch', 'alltoalldispatch'],
  'ep-combine': ['combine', 'deepepcombine', 'moecombine', 'alltoallcombine'],
};

const BY_OP = new Map(
  Object.entries(OPS).flatMap(([name, others]) =>
    [name, ...others].map((one) => [plain(one), name as Query['op']]),
  ),
);

/**
 * The query that a row asks. Keys of the row are column names as `opColumn` gives them.
 * @param shapeOf the layer of a model by name, for rows without sizes; asked only where a size is missing.
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
  const lib = cells.text('lib');
  const sizes = new Sizes(cells, op, shapeOf);
  return { ...queryOfSizes(op, cells, sizes), ...(lib === undefined ? {} : { lib: lib.toLowerCase() }) };
}

/** Sizes of a row: its own cells, else those of the model that it names. */
class Sizes {
  private readonly cells: Cells;
  private readonly op: string;
  private readonly shapeOf: ((model: string) => LayerShape) | undefined;

  constructor(cells: Cells, op: string, shapeOf: ((model: string) => LayerShape) | undefined) {
    this.cells = cells;
    this.op = op;
    this.shapeOf = shapeOf;
  }

  shape(): LayerShape | undefined {
    const model = this.cells.text('model');
    return model === undefined ? undefined : this.shapeOf?.(model);
  }

  hidden(): number {
    return this.cells.number('hidden') ?? this.cells.needed('hidden', this.shape()?.hidden);
  }

  /** Of the routed experts. */
  ofMoe(column: 'inter' | 'experts' | 'topk'): number {
    const given = this.cells.number(column);
    if (given !== undefined) return given;
    const shape = this.shape();
    if (shape !== undefined && shape.moe === undefined)
      throw new ConfigError(
        `${this.cells.text('model') ?? ''} has no routed experts: ${this.op} needs ${column}.`,
      );
    return this.cells.needed(column, shape?.moe?.[column]);
  }

  /** Heads of a rank: those of the model are cut over its ranks. */
  heads(): { heads: number; kvHeads: number; headDim: number; latent: boolean } {
    const given = this.cells.number('heads');
    const shape =
      given === undefined || this.cells.number('head_dim') === undefined ? this.shape() : undefined;
    const tp = this.cells.number('tp') ?? 1;
    const heads = given ?? (shape === undefined ? undefined : Math.max(1, shape.heads / tp));
    if (heads === undefined) throw new ConfigError(`${this.op} needs heads, or model.`);
    const ofModel = given === undefined && shape !== undefined ? Math.max(1, shape.kvHeads / tp) : undefined;
    return {
      heads,
      kvHeads: this.cells.number('kv_heads') ?? ofModel ?? heads,
      headDim: this.cells.number('head_dim') ?? shape?.headDim ?? 128,
      latent: shape?.latent === true && this.cells.number('kv_heads') === undefined,
    };
  }
}

function queryOfSizes(op: Query['op'], cells: Cells, sizes: Sizes): Query {
  const dtype = cells.text('dtype');
  const ofDtype = dtype === undefined ? {} : { dtype };
  switch (op) {
    case 'gemm': {
      const [m, n, k] = [cells.needed('m', cells.number('tokens')), cells.needed('n'), cells.needed('k')];
      return { op, m, n, k, dtype: dtype ?? 'bfloat16' };
    }
    case 'moe':
      return moeOf(cells, sizes, dtype ?? 'bfloat16');
    case 'attention-prefill':
    case 'attention-decode': {
      const { latent, ...heads } = sizes.heads();
      const base = { batch: cells.needed('batch', 1), ...ofDtype };
      const decode = op === 'attention-decode';
      if (latent) {
        return decode
          ? { op: 'mla-decode', ...base, heads: heads.heads, kv: positionsOf(cells) }
          : { op: 'mla-prefill', ...base, heads: heads.heads, seq: promptOf(cells) };
      }
      if (decode) return { op, ...base, ...heads, kv: positionsOf(cells) };
      return { op, ...base, ...heads, seq: promptOf(cells), ...given(cells, 'prefix', 'prefix') };
    }
    case 'mla-prefill':
    case 'mla-decode': {
      const heads = cells.number('heads') ?? (cells.text('model') === undefined ? 128 : sizes.heads().heads);
      const base = { batch: cells.needed('batch', 1), heads, ...ofDtype };
      return op === 'mla-prefill'
        ? { op, ...base, seq: promptOf(cells) }
        : { op, ...base, kv: positionsOf(cells) };
    }
    case 'ep-dispatch':
    case 'ep-combine':
      return {
        ...{ op, tokens: cells.needed('tokens'), hidden: sizes.hidden() },
        ...{ experts: sizes.ofMoe('experts'), topk: sizes.ofMoe('topk') },
        ...{ ranks: cells.needed('ranks', cells.number('ep')) },
        // Tables name what the experts compute in; what comes back from them is bfloat16 all the same.
        ...(op === 'ep-dispatch' ? ofDtype : {}),
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

/** New tokens of a prompt, and positions in the cache: tables call either by its own name or just a sequence. */
const promptOf = (cells: Cells): number => cells.number('seq') ?? cells.needed('seq', cells.number('tokens'));
const positionsOf = (cells: Cells): number => cells.number('kv') ?? cells.needed('kv', cells.number('seq'));

function collectiveOf(op: Collective, cells: Cells): Query {
  return {
    op,
    bytes: cells.needed('bytes'),
    ranks: cells.needed('ranks'),
    ...given(cells, 'nodes', 'nodes'),
  };
}

function moeOf(cells: Cells, sizes: Sizes, dtype: string): Query {
  const { skew, placed } = routingOf(cells.text('routing') ?? '', 'balanced');
  const [tp, ranks] = [cells.number('tp'), cells.number('ranks')];
  // Ranks that do not share an expert by columns have experts of their own.
  const ep = cells.number('ep') ?? (ranks === undefined ? undefined : Math.max(1, ranks / (tp ?? 1)));
  return {
    ...{ op: 'moe', tokens: cells.needed('tokens', cells.number('m')), dtype },
    ...{ hidden: sizes.hidden(), inter: sizes.ofMoe('inter') },
    ...{ experts: sizes.ofMoe('experts'), topk: sizes.ofMoe('topk') },
    ...(tp === undefined ? {} : { tp }),
    ...(ep === undefined ? {} : { ep }),
    ...given(cells, 'slots', 'slots'),
    ...given(cells, 'rows', 'rows'),
    ...(placed ? { placed: true } : {}),
    ...given(cells, 'active', 'activeExperts'),
    skew,
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
  // Low-latency kernels take all multiprocessors: who says how many means the other ones.
  if (text === undefined) return cells.text('sms') === undefined ? {} : { mode: 'normal' };
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
  /** The layer of a model by name, for rows without sizes. */
  readonly shapeOf?: (model: string) => LayerShape;
  /** Hardware that a row names; undefined for one that it does not know. */
  readonly hardwareOf?: (name: string) => Profile | undefined;
}

/** GPUs of a tray of an NVLink domain: what tables of measurements count as its node. */
const TRAY = 4;

/** Ranks that a row leaves out fill the nodes that it names. */
function withRanks(row: CaseRow, { node }: Profile): CaseRow {
  const empty = (column: string): boolean => cellText(row[column]) === undefined;
  const nodes = Number(row.nodes);
  if (!empty('ranks') || !empty('ep') || empty('nodes') || !Number.isInteger(nodes)) return row;
  return { ...row, ranks: String(nodes * (node.gpus > 8 ? TRAY : node.gpus)) };
}

/** How long the operation of a row takes, and where that is from. @throws ConfigError as `queryOf`. */
export function projectOp(row: CaseRow, { shapeOf, hardwareOf }: CaseNames = {}): Timing {
  const name = cellText(row.hardware);
  if (name === undefined) throw new ConfigError(`${queryOf(row, shapeOf).op} needs hardware.`);
  const hardware = hardwareOf?.(name) ?? hardwareNamed(name);
  return timeOf(queryOf(withRanks(row, hardware), shapeOf), hardware);
}
