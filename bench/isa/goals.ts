/** What chosen kernels must come to at the card's shapes, each held against what the compilers made of them. Shares are modelled. */
import type { KernelRow, TargetResult } from './compile.ts';

/** What of `asked.ts` the goals are about. */
export const CARD_USES = {
  gemm: 'gemm, 512 rows',
  up: 'experts up, 64 rows',
  down: 'experts down, 64 rows',
  prefill: (headDim: number): string => `attention, 64 queries of 1, heads of ${headDim}`,
  gemmNamed: (variant: string): string => `gemm ${variant}`,
  expertsNamed: (variant: string): string => `experts ${variant}`,
  attentionNamed: (variant: string, headDim: number): string => `attention ${variant}, heads of ${headDim}`,
} as const;

const PRODUCTS = [CARD_USES.gemm, CARD_USES.up, CARD_USES.down].flatMap((use) =>
  ['f32', 'int8', 'int4'].map((format) => ({ use, format })),
);
const PREFILLS = [64, 128, 256].map((headDim) => ({ use: CARD_USES.prefill(headDim) }));

/** Taken by name only: tiles of 128 x 128, and prefill. */
const MATRICES = [
  ...['f32', 'f16', 'int8', 'int4', 'mxfp4'].flatMap((format) =>
    [CARD_USES.gemmNamed('matrix-128'), CARD_USES.expertsNamed('matrix-128')].map((use) => ({ use, format })),
  ),
  ...[64, 128, 256].map((headDim) => ({ use: CARD_USES.attentionNamed('matrix', headDim) })),
].map((wanted) => ({ ...wanted, named: true }));

/** Half of what AMD's compiler estimated for a query per thread with heads of 64: 10,113 cycles. */
const MOST_PREFILL_CYCLES = 5056;

interface Wanted {
  readonly use: string;
  readonly format?: string;
  /** A variant that is not chosen. */
  readonly named?: boolean;
}

interface Rule {
  readonly what: string;
  /** Each must have been compiled. */
  readonly of: readonly Wanted[];
  readonly value: (row: KernelRow) => number | undefined;
  readonly limit: number;
  readonly isLeast: boolean;
  readonly unit: Unit;
}

type Unit = '%' | 'cycles' | 'instructions' | 'kernels';

/** A goal on one target, with the worst of its kernels. */
export interface Goal {
  readonly target: string;
  readonly what: string;
  readonly unit: Unit;
  readonly limit: string;
  /** Absent where a kernel that it is about was not compiled, or nothing was told of one. */
  readonly found?: number;
  readonly kernel?: string;
  readonly met: boolean;
}

const share = (what: string, limit: number, value: Rule['value']): Rule => ({
  ...{ what, limit, value, of: PRODUCTS, isLeast: true, unit: '%' },
});
const ofPeak = ({ modelled }: KernelRow): number | undefined => modelled && 100 * modelled.share;
const alone = ({ modelled }: KernelRow): number | undefined =>
  modelled?.alone === undefined ? undefined : 100 * modelled.alone;
const matricesOfTurn = ({ matrices }: KernelRow): number | undefined => matrices?.turn;
const cycles = ({ measured }: KernelRow): number | undefined => measured?.inverseThroughput;
const spills = ({ measured, spills: does }: KernelRow): number | undefined => measured && Number(does);

const ONE_WAVE = share('products: a wave alone', 25, alone);
const RULES: Readonly<Record<string, readonly Rule[]>> = {
  navi31: [
    share('products: share of peak', 60, ofPeak),
    ONE_WAVE,
    {
      ...{ what: 'prefill, heads of 64', of: PREFILLS.slice(0, 1), value: cycles },
      ...{ limit: MOST_PREFILL_CYCLES, isLeast: false, unit: 'cycles' },
    },
    {
      ...{ what: 'matrix units: WMMA in a turn of the loop', of: MATRICES, value: matricesOfTurn },
      ...{ limit: 32, isLeast: true, unit: 'instructions' },
    },
    {
      ...{ what: 'matrix units: tiles of 128 and prefill that spill', of: MATRICES, value: spills },
      ...{ limit: 0, isLeast: false, unit: 'kernels' },
    },
  ],
  navi21: [share('products: share of peak', 85, ofPeak), ONE_WAVE],
};
const PREFILL_SPILLS: Rule = {
  ...{ what: 'prefill that spills, heads of 64, 128, 256', of: PREFILLS, value: spills },
  ...{ limit: 0, isLeast: false, unit: 'kernels' },
};

const isOf =
  ({ use, format, named = false }: Wanted) =>
  ({ chosen, uses, kernel }: KernelRow): boolean =>
    chosen !== named && uses.includes(use) && (format === undefined || kernel.split(',')[1] === format);

function goalOf(target: string, kernels: readonly KernelRow[], rule: Rule): Goal {
  const { what, unit, limit, isLeast, value } = rule;
  const told = { target, what, unit, limit: `${isLeast ? 'at least' : 'at most'} ${limit}` };
  const rows = rule.of.map((wanted) => kernels.filter(isOf(wanted)));
  const values = rows.flat().map((row) => ({ kernel: row.kernel, found: value(row) ?? NaN }));
  if (rows.some(({ length }) => length === 0) || values.some(({ found }) => Number.isNaN(found))) {
    return { ...told, met: false };
  }
  const worst = values.reduce((one, other) => (other.found < one.found === isLeast ? other : one));
  return { ...told, ...worst, met: isLeast ? worst.found >= limit : worst.found <= limit };
}

/** Kernels for matrix units must issue what they are for, wherever the driver has them. */
function matrixGoals({ target, kernels }: TargetResult): Goal[] {
  const rows = kernels.filter(({ matrices }) => matrices !== undefined);
  if (rows.length === 0) return [];
  const found = rows.filter(({ matrices }) => matrices?.emitted === 0).length;
  const what = 'matrix units: kernels without their instructions';
  return [{ target, what, unit: 'kernels', limit: 'at most 0', found, met: found === 0 }];
}

/** The goals of a target. Exceptions, which only those have that are not strict, are told elsewhere. */
export function goalsOf(result: TargetResult, chosenOnly = false): Goal[] {
  const { target, strict, kernels } = result;
  const rules = [...(RULES[target] ?? []), ...(strict ? [PREFILL_SPILLS] : [])]
    // What is taken by name only was not compiled.
    .filter(({ of }) => !chosenOnly || of.every(({ named }) => named !== true));
  const goals = [...rules.map((rule) => goalOf(target, kernels, rule)), ...matrixGoals(result)];
  if (!strict) return goals;
  const chosen = kernels.filter((row) => row.chosen);
  const found = chosen.filter((row) => row.measured === undefined || row.spills).length;
  const what = 'chosen kernels that spill or use scratch';
  const all = { target, what, unit: 'kernels' as const, limit: 'at most 0' };
  return [...goals, { ...all, found, met: chosen.length > 0 && found === 0 }];
}
