/** Random sizes, settings and numbers for fuzzing, drawn from the rules of an op. */
import { at } from '../../core/math.ts';
import type { Random } from '../../core/random.ts';
import type { AttrRule, AttrValue, TensorRule } from '../../ops/op.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Maker } from './maker.ts';

export function oneOf<T>(random: Random, values: readonly T[]): T {
  return at(values, random.integer(values.length));
}

export function chance(random: Random, share: number): boolean {
  return random.uniform() < share;
}

/** 1 to most: half of them multiples of 4 to 32, which fast kernels and blocks want, and small ones more often. */
export function drawSize(random: Random, most: number): number {
  if (chance(random, 0.15)) return 1 + random.integer(Math.min(4, most));
  const step = oneOf(random, [1, 1, 1, 1, 4, 8, 16, 32]);
  const blocks = Math.floor(most / step);
  return blocks < 1 ? 1 + random.integer(most) : step * (1 + random.integer(blocks));
}

/** Spreads over orders of magnitude: from 0.01 to 10. */
function drawPositive(random: Random): number {
  return Number((10 ** (3 * random.uniform() - 2)).toPrecision(3));
}

/** Values of numbers whose rule allows far more than is of interest. */
const NUMBERS: Readonly<Record<string, (random: Random) => number>> = {
  eps: (random) => oneOf(random, [1e-6, 1e-5, 1e-3, 0.5]),
  theta: (random) => oneOf(random, [10, 10000, 500000, 1000000]),
  rope_theta: (random) => oneOf(random, [0, 10000, 500000]),
  offset: (random) => random.integer(200000),
};

/** Undefined leaves the attribute out, where the rule has a default or derives it. */
export function drawAttr(random: Random, rule: AttrRule): AttrValue | undefined {
  const optional = rule.default !== undefined || rule.derived !== undefined;
  switch (rule.kind) {
    case 'flag':
      return chance(random, 0.5);
    case 'choice':
      // Each other value compiles kernels of its own.
      return optional && chance(random, 0.6) ? undefined : oneOf(random, rule.choices ?? []);
    case 'integer':
    case 'number': {
      if (optional && chance(random, 0.5)) return undefined;
      const special = NUMBERS[rule.name];
      if (special !== undefined) return special(random);
      const least = rule.min ?? 0;
      const value = rule.kind === 'integer' ? least + random.integer(9) : least + drawPositive(random);
      return Math.min(value, rule.max ?? Infinity);
    }
  }
}

/** How the numbers of a case are distributed. */
export type Flavour = 'normal' | 'outliers' | 'whole';

/** f32 values for a tensor. Weights, by their names, keep products of unit rows at unit size. */
export function drawTensor(
  make: Maker,
  rule: TensorRule,
  shape: readonly number[],
  flavour: Flavour,
): Tensor {
  if (rule.name === 'logits') return drawLogits(make, shape, flavour);
  if (/^w(\d|[qkvo])$|^b$/.test(rule.name)) return make.weight(shape);
  switch (flavour) {
    case 'normal':
      return make.normal(shape);
    case 'outliers':
      return make.outliers(shape, 0.3);
    case 'whole':
      return make.whole(shape, 3);
  }
}

/** Whole ones have many ties. */
function drawLogits(make: Maker, shape: readonly number[], flavour: Flavour): Tensor {
  return flavour === 'whole' ? make.whole(shape, 6) : make.normal(shape, flavour === 'outliers' ? 6 : 1.5);
}
