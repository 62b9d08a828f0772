/** What chosen kernels must come to at the card's shapes, each held against what the compilers made of them. Shares are modelled. */
import type { KernelRow, TargetResult } from './compile.ts';

/** What of `asked.ts` the goals are about. */
export const CARD_USES = {
  gemm: 'gemm, 512 rows',
  up: 'experts up, 64 rows',
  down: 'experts down, 64 rows',
  prefill: (headDim: number): string => `attention, 64 queries of 1, heads of ${headDim}`,
} as const;

const PRODUCTS = [CARD_USES.gemm, CARD_USES.up, CARD_USES.down].flatMap((use) =>
  ['f32', 'int8', 'int4'].map((format) => ({ use, format })),
);
const PREFILLS = [64, 128, 256].map((headDim) => ({ use: CARD_USES.prefill(headDim) }));

/** Half of what AMD's compiler estimated for a query per thread with heads of 64: 10,113 cycles. */
const MOST_PREFILL_CYCLES = 5056;

interface Wanted {
  readonly use: string;
  readonly format?: string;
}

interface Rule {
  readonly what: string;
  /** Each must have been compiled. */
  readonly of: readonly Wanted[];
  readonly value: (row: KernelRow) => number | undefined;
  readonly limit: number;
  readonly isLeast: boolean;
  readonly unit: '%' | 'cycles' | 'kernels';
}

/** A goal on one target, with the worst of its kernels. */
export interface Goal {
  readonly target: string;
  readonly what: string;
  readonly unit: '%' | 'cycles' | 'kernels';
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
  ],
  navi21: [share('products: share of peak', 85, ofPeak), ONE_WAVE],
};
const PREFILL_SPILLS: Rule = {
  ...{ what: 'prefill that spills, heads of 64, 128, 256', of: PREFILLS, value: spills },
  ...{ limit: 0, isLeast: false, unit: 'kernels' },
};

const isOf =
  ({ use, format }: Wanted) =>
  ({ chosen, uses, kernel }: KernelRow): boolean =>
    chosen && uses.includes(use) && (format === undefined || kernel.split(',')[1] === format);

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

/** The goals of a target. Exceptions, which only those have that are not strict, are told elsewhere. */
export function goalsOf({ target, strict, kernels }: TargetResult): Goal[] {
  const rules = [...(RULES[target] ?? []), ...(strict ? [PREFILL_SPILLS] : [])];
  const goals = rules.map((rule) => goalOf(target, kernels, rule));
  if (!strict) return goals;
  const chosen = kernels.filter((row) => row.chosen);
  const found = chosen.filter((row) => row.measured === undefined || row.spills).length;
  const what = 'chosen kernels that spill or use scratch';
  const all = { target, what, unit: 'kernels' as const, limit: 'at most 0' };
  return [...goals, { ...all, found, met: chosen.length > 0 && found === 0 }];
}
