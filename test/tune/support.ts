/** Made-up evidence: what the tuner would have measured. */
import type { Evidence, TuningPoint } from '../../src/tune/point.ts';
import { keyOf } from '../../src/tune/shape-key.ts';
import { decide } from '../../src/tune/decide.ts';

/** Pairs with the same noise in all, as rounds have. */
const NOISE = [1, 1.02, 0.99, 1.01, 1.3, 0.98, 1, 1.01];

export const evidenceOf = (variant: string, ns: number, wobble = 0): Evidence => ({
  variant,
  code: `code of ${variant}.wgsl`,
  samplesNs: NOISE.map((noise, i) => ns * noise * (1 + (i % 2 === 0 ? wobble : -wobble))),
  repeats: 1,
});

export interface Made {
  readonly rows: number;
  readonly cols?: number;
  readonly dtype?: string;
  readonly times: Readonly<Record<string, number>>;
  readonly spread?: number;
}

/** A point of the family matmul; the first variant is the default. */
export function pointOf({ rows, cols = 64, dtype = 'f32', times, spread = 0.01 }: Made): TuningPoint {
  const evidence = Object.entries(times).map(([name, ns]) => evidenceOf(name, ns));
  const defaultName = evidence[0]?.variant ?? '';
  return {
    ...keyOf('matmul', { numRows: rows, numCols: cols, depth: 32, weightDtype: dtype }),
    subject: { op: 'matmul', dims: { M: rows, N: cols, K: 32 } },
    index: 0,
    date: '2026-11-24T00:00:00.000Z',
    project: '0.1.0',
    default: defaultName,
    ...decide(evidence, defaultName, spread, 1),
    spread,
    againNs: evidence[0]?.samplesNs ?? [],
    grainNs: 1,
    evidence,
    left: [],
  };
}

export const shape = (numRows: number, numCols = 64, weightDtype = 'f32'): object => ({
  ...{ numRows, numCols, depth: 32, weightDtype },
});

export const candidates = (...names: string[]): { name: string; shader: string }[] =>
  names.map((name) => ({ name, shader: `${name}.wgsl` }));

export const codeOf = (shader: string): string => `code of ${shader}`;
