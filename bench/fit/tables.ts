/** Published measurements as the package carries them: which columns are a row's key, and which is the curve. */
import { csvParse } from 'd3-dsv';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packed } from '../../src/hardware/curves/pack.ts';

const AIC = 'ai-dynamo/aiconfigurator 095f58a, Apache-2.0 (NVIDIA)';
const INFERSIM = 'alibaba/InferSim f2293da, Apache-2.0';
const SERVINGSIM = 'casys-kaist/LLMServingSim 5daddb2, MIT';

/** A module of `src/hardware/data` and its tables. */
export interface DataModule {
  readonly file: string;
  readonly tables: readonly NamedTable[];
}

interface NamedTable {
  readonly name: string;
  readonly source: string;
  readonly columns: readonly string[];
  readonly knots: readonly number[];
  readonly rows: string;
}

type Cells = Readonly<Record<string, string>>;

/** One measurement: its key, the size along the curve, and us. */
interface Point {
  readonly key: Cells;
  readonly size: number;
  readonly us: number;
}

/** Sizes of the configurations that the MoE table names: hidden, width of an expert, experts, top-k. */
const MODELS: Readonly<Record<string, readonly [number, number, number, number]>> = {
  'deepseek-v3': [7168, 2048, 256, 8],
  'kimi-k2': [7168, 2048, 384, 8],
  'mixtral-8x7b': [4096, 14336, 8, 2],
  'qwen3-235b-a22b': [4096, 1536, 128, 8],
  'qwen3-30b-a3b': [2048, 768, 128, 8],
  'minimax-m2': [3072, 1536, 256, 8],
  'gpt-oss-120b': [2880, 2880, 128, 4],
};

/** All tables, from a folder that holds those that `docs` names. */
export function dataModules(folder: string): DataModule[] {
  const read = (path: string): Cells[] => csvParse(readFileSync(join(folder, path), 'utf8'));
  const moe = wide(read('aic/moe.csv'), 't').flatMap(({ key, ...point }) => {
    const [hidden, inter, experts, topk] = MODELS[key.model ?? ''] ?? [];
    const shape = {
      hidden: String(hidden),
      inter: String(inter),
      experts: String(experts),
      topk: String(topk),
    };
    // A group of ranks that does not divide the experts has no hottest rank.
    return (experts ?? 0) % Number(key.ep) === 0 ? [{ key: { ...key, ...shape }, ...point }] : [];
  });
  return [
    { file: 'gemm', tables: [table('GEMM_TABLE', AIC, 'system dtype n k', wide(read('aic/gemm.csv'), 'm'))] },
    {
      file: 'gemm-hopper',
      tables: [
        table('GEMM_HOPPER_TABLE', INFERSIM, 'system dtype n k', hopperGemm(read('infersim/gemm.csv'))),
      ],
    },
    {
      file: 'moe',
      tables: [table('MOE_TABLE', AIC, 'system lib dtype model hidden inter experts topk tp ep dist', moe)],
    },
    {
      file: 'moe-more',
      tables: [
        table(
          'MOE_HOPPER_TABLE',
          INFERSIM,
          'system lib dtype model hidden inter experts topk tp ep dist perGpu',
          [
            ...grouped(read('infersim/grouped-gemm-decode.csv'), 'batch_size_per_gpu'),
            ...grouped(read('infersim/grouped-gemm-prefill.csv'), 'seq_len_per_gpu'),
          ],
        ),
        table(
          'MOE_WIDE_TABLE',
          AIC,
          'system lib dtype model hidden inter experts topk tp ep dist',
          wideEp(read('aic/wide-ep-moe-trtllm.csv')),
        ),
        table(
          'MOE_ACTIVE_TABLE',
          SERVINGSIM,
          'system lib dtype model hidden inter experts topk tp ep dist active',
          activeExperts(read('llmservingsim/rtxpro6000-qwen3-30b-a3b.tp1.moe.csv')),
        ),
      ],
    },
    {
      file: 'attention',
      tables: [
        table(
          'PREFILL_TABLE',
          AIC,
          'system lib heads kv_heads head_dim batch',
          wide(read('aic/attention-prefill.csv'), 's'),
        ),
        table(
          'DECODE_TABLE',
          AIC,
          'system lib heads kv_heads head_dim batch',
          wide(read('aic/attention-decode.csv'), 'kv'),
        ),
      ],
    },
    {
      file: 'attention-hopper',
      tables: [
        table(
          'PREFILL_HOPPER_TABLE',
          INFERSIM,
          'system lib heads kv_heads head_dim batch',
          hopperAttention(read('infersim/mha-prefill.csv'), 'seq_len'),
        ),
        table(
          'DECODE_HOPPER_TABLE',
          INFERSIM,
          'system lib kv_dtype heads kv_heads head_dim batch',
          hopperAttention(read('infersim/mha-decode.csv'), 'kv_len'),
        ),
      ],
    },
    {
      file: 'mla',
      tables: [
        table('MLA_PREFILL_TABLE', AIC, 'system heads batch', mla(read('aic/mla-prefill.csv'), 's')),
        table('MLA_DECODE_TABLE', AIC, 'system dtype heads batch', [
          ...mla(read('aic/mla-decode.csv'), 'kv'),
          ...hopperMla(read('infersim/mla-decode.csv')),
        ]),
      ],
    },
    { file: 'nccl', tables: [table('NCCL_TABLE', AIC, 'system op lib ranks', nccl(read('aic/nccl.csv')))] },
    {
      file: 'all-reduce',
      tables: [
        table(
          'ALL_REDUCE_TABLE',
          AIC,
          'system op lib ranks',
          read('aic/custom-allreduce.csv').map((row) => ({
            key: {
              system: row.system ?? '',
              op: 'all_reduce',
              lib: row.variant ?? '',
              ranks: row.gpus ?? '',
            },
            size: Number(row.bytes),
            us: Number(row.us),
          })),
        ),
      ],
    },
    { file: 'exchange', tables: exchangeTables(read) },
  ];
}

/** Columns `m1`, `m4`, ... of a table that has a size in each. */
function wide(rows: readonly Cells[], prefix: string): Point[] {
  const pattern = new RegExp(`^${prefix}(\\d+)$`);
  return rows.flatMap((row) =>
    Object.entries(row).flatMap(([column, cell]) => {
      const [, size] = pattern.exec(column) ?? [];
      return size === undefined || cell === '' ? [] : [{ key: row, size: Number(size), us: Number(cell) }];
    }),
  );
}

function hopperGemm(rows: readonly Cells[]): Point[] {
  return rows.map(({ gpu = '', n = '', k = '', m, latency_us }) => ({
    key: { system: gpu, dtype: 'fp8_block', n, k },
    size: Number(m),
    us: Number(latency_us),
  }));
}

/** Both grouped products of a rank's experts, each expert with equally many rows. */
function grouped(rows: readonly Cells[], perGpu: string): Point[] {
  return rows.map((row) => ({
    key: {
      ...{ system: row.gpu ?? '', lib: 'deepgemm', dtype: 'fp8_block', model: '', tp: '1', dist: 'balanced' },
      ...{
        hidden: row.hidden_size ?? '',
        inter: row.intermediate_size ?? '',
        experts: row.num_experts ?? '',
      },
      ...{ topk: row.topk ?? '', ep: row.num_gpus ?? '', perGpu: 'yes' },
    },
    size: Number(row[perGpu]),
    us: Number(row.up_proj_us) + Number(row.down_proj_us),
  }));
}

/** TensorRT-LLM's kernels for wide expert parallelism, DeepSeek-V3's layer. */
function wideEp(rows: readonly Cells[]): Point[] {
  return rows.map((row) => ({
    key: {
      ...{ system: row.system ?? '', lib: 'wideep', dtype: row.dtype ?? '', model: 'deepseek-v3' },
      ...{ hidden: '7168', inter: '2048', experts: '256', topk: '8', tp: '1' },
      ...{ ep: row.ep ?? '', dist: row.dist ?? '' },
    },
    size: Number(row.tokens),
    us: Number(row.us),
  }));
}

function activeExperts(rows: readonly Cells[]): Point[] {
  return rows.map((row) => ({
    key: {
      ...{
        system: 'rtx_pro_6000_server',
        lib: 'vllm',
        dtype: 'bfloat16',
        model: 'qwen3-30b-a3b',
        dist: 'balanced',
      },
      ...{ hidden: '2048', inter: '768', experts: '128', topk: '8', tp: '1', ep: '1' },
      active: row.activated_experts ?? '',
    },
    size: Number(row.tokens),
    us: Number(row.time_us),
  }));
}

function hopperAttention(rows: readonly Cells[], size: string): Point[] {
  return rows.map((row) => {
    const [heads = '', kv = '', dim = ''] = (row.shape ?? '').split('-');
    const key = { system: row.gpu ?? '', lib: 'flash', heads, kv_heads: kv, head_dim: dim };
    const cache = row.kv_dtype === 'fp8' ? 'fp8' : 'bfloat16';
    return {
      key: { ...key, batch: row.batch_size ?? '1', kv_dtype: cache },
      size: Number(row[size]),
      us: Number(row.latency_us),
    };
  });
}

function mla(rows: readonly Cells[], prefix: string): Point[] {
  return wide(rows, prefix).map(({ key, ...point }) => ({
    key: {
      ...{ system: key.system ?? '', dtype: key.kv_cache_dtype ?? '' },
      ...{ heads: key.num_heads ?? '', batch: key.batch_size ?? '' },
    },
    ...point,
  }));
}

function hopperMla(rows: readonly Cells[]): Point[] {
  return rows.map((row) => ({
    key: { system: row.gpu ?? '', dtype: 'bfloat16', heads: '128', batch: row.batch_size ?? '' },
    size: Number(row.kv_len),
    us: Number(row.latency_us),
  }));
}

/** Both dtypes send the same bytes: their geometric mean (`table` takes it of equal keys). */
function nccl(rows: readonly Cells[]): Point[] {
  return rows.map((row) => ({
    key: { system: row.system ?? '', op: row.op ?? '', lib: 'nccl', ranks: row.gpus ?? '' },
    size: Number(row.bytes),
    us: Number(row.us),
  }));
}

function exchangeTables(read: (path: string) => Cells[]): NamedTable[] {
  const deepEp = (path: string, mode: string): Point[] =>
    read(path).flatMap((row) => {
      // A node of the GB200 and GB300 holds four GPUs.
      const ranks = Number(row.nodes) * ((row.system ?? '').startsWith('gb') ? 4 : 8);
      const key = { ...row, mode, ranks: String(ranks) };
      const size = Number(row.tokens_per_gpu);
      return [
        { key: { ...key, op: 'ep-dispatch' }, size, us: Number(row.dispatch_us) },
        { key: { ...key, op: 'ep-combine' }, size, us: Number(row.combine_us) },
      ];
    });
  const nvlink = read('aic/trtllm-alltoall-gb200.csv').flatMap((row) => {
    const op = { alltoall_dispatch: 'ep-dispatch', alltoall_combine: 'ep-combine' }[row.op ?? ''];
    if (op === undefined) return [];
    const mode = row.kernel === 'NVLinkOneSided' ? 'one-sided' : 'two-sided';
    // What a combine sends is bfloat16, whatever the experts compute in.
    const dtype = op === 'ep-combine' ? 'bfloat16' : (row.dtype ?? '');
    const key = { ...row, op, mode, nodes: '1', ranks: row.ep ?? '', dtype };
    return [{ key, size: Number(row.tokens_per_gpu), us: Number(row.us) }];
  });
  const columns = 'system op mode hidden experts topk nodes ranks';
  return [
    table('EXCHANGE_LOW_LATENCY_TABLE', AIC, columns, deepEp('aic/deepep-low-latency.csv', 'low-latency')),
    table('EXCHANGE_NORMAL_TABLE', AIC, `${columns} sms`, deepEp('aic/deepep-normal.csv', 'normal')),
    table('EXCHANGE_NVLINK_TABLE', AIC, `${columns} dtype`, nvlink),
  ];
}

/** Rows of equal key and size are one: their geometric mean. */
function table(name: string, source: string, columns: string, points: readonly Point[]): NamedTable {
  const names = columns.split(' ');
  const knots = [...new Set(points.map(({ size }) => size))].sort((a, b) => a - b);
  const rows = new Map<string, { log: number; count: number }[]>();
  for (const { key, size, us } of points) {
    if (!(us > 0)) continue;
    const text = names.map((column) => key[column] ?? '').join(',');
    const cells = rows.get(text) ?? knots.map(() => ({ log: 0, count: 0 }));
    rows.set(text, cells);
    const cell = cells[knots.indexOf(size)];
    if (cell === undefined) continue;
    cell.log += Math.log(us);
    cell.count += 1;
  }
  const text = [...rows].map(
    ([key, cells]) =>
      `${key} ${packed(cells.map(({ log, count }) => (count === 0 ? NaN : Math.exp(log / count))))};`,
  );
  return { name, source, columns: names, knots, rows: text.join('') };
}
