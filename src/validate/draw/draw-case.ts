/**
 * A kernel case from a seed: sizes, attributes, dtypes and optional tensors as the op's rules allow, so that an
 * attribute or dtype that is added to a rule is drawn from then on. What does not fit is refused by the op and drawn
 * again; sizes that hang together are drawn together.
 */
import { ConfigError, invariant } from '../../core/errors.ts';
import type { GroupLimit, ScoreFunction } from '../../core/gating.ts';
import { at, divisorsOf } from '../../core/math.ts';
import { seededRandom, seedOf, type Random } from '../../core/random.ts';
import { inputsOf } from '../../ops/ops.ts';
import { quantisedTensors } from '../../ops/quantised-inputs.ts';
import type { AttrValue, Op, OpInputs } from '../../ops/op.ts';
import { dimNames } from '../../ops/shapes.ts';
import { quantise } from '../../tensor/quantise.ts';
import { BLOCK, QUANT_FORMATS } from '../../tensor/quantised.ts';
import { matmul } from '../../reference/matmul.ts';
import { castFloat, toF64, type Tensor } from '../../tensor/tensor.ts';
import { chance, drawAttr, drawSize, drawTensor, oneOf, type Flavour } from './values.ts';
import { drawPages } from './draw-pages.ts';
import { type KernelCase, referenceOf } from '../kernel-case.ts';
import { maker, type Maker } from './maker.ts';
import { areSeparated, separatedLogits, type Routed } from './separated.ts';

/** Of one choice; the op knows its own limit. */
const MOST_GROUPS = 32;

interface Drawn {
  readonly dims: Readonly<Record<string, number>>;
  readonly attrs?: Readonly<Record<string, AttrValue>>;
}

/** Rows are sometimes none. */
const rows = (random: Random, most: number): number => (chance(random, 0.03) ? 0 : drawSize(random, most));

/** Every second time in whole blocks: many kernels load a whole vec4 of weights along k, of up to 32 values. */
const width = (random: Random): number =>
  chance(random, 0.5) ? BLOCK * drawSize(random, 3) : drawSize(random, 96);

/** k, and in a third of the draws equal groups of which enough are kept. */
function routing(random: Random, numExperts: number): Record<string, AttrValue> {
  const k = drawSize(random, Math.min(16, numExperts));
  if (!chance(random, 0.35)) return { k, groups: 1, groups_kept: 1 };
  const count = oneOf(
    random,
    divisorsOf(numExperts).filter((divisor) => divisor <= MOST_GROUPS),
  );
  const least = Math.ceil((k * count) / numExperts);
  return { k, groups: count, groups_kept: least + random.integer(Math.min(16, count) - least + 1) };
}

/** Compiled in; most kernels want multiples of 4. */
function headSize(settings: Random): number {
  return chance(settings, 0.7) ? 4 * drawSize(settings, oneOf(settings, [6, 6, 18])) : drawSize(settings, 24);
}

/** Sizes, and the attributes that depend on them. Small: a case runs all variants, twice. */
const SHAPES: Readonly<Record<string, (random: Random, settings: Random) => Drawn>> = {
  matmul: (r) => ({ dims: { M: rows(r, 70), N: drawSize(r, 150), K: width(r) } }),
  'gate-topk': (r) => {
    const numExperts = drawSize(r, oneOf(r, [16, 64, 130, 300, 1024]));
    return { dims: { T: rows(r, numExperts > 300 ? 9 : 70), E: numExperts }, attrs: routing(r, numExperts) };
  },
  moe: (r) => {
    const numExperts = drawSize(r, 12);
    const dims = { T: rows(r, oneOf(r, [50, 50, 8])), D: width(r), E: numExperts, F: width(r) };
    return { dims, attrs: routing(r, numExperts) };
  },
  attention: (r, settings) => {
    const [queries, kvHeads] = [oneOf(r, [1, drawSize(r, 40)]), drawSize(r, 3)];
    return {
      dims: {
        ...{ B: drawSize(r, 3), Sq: queries, Skv: queries + r.integer(90) },
        ...{ Hq: kvHeads * drawSize(r, 3), Hkv: kvHeads, Dh: headSize(settings) },
      },
    };
  },
  'paged-attention': (r) => {
    const [pageSize, perSequence, kvHeads] = [oneOf(r, [1, 4, 16, 16, 32]), drawSize(r, 9), drawSize(r, 3)];
    const queries = Math.min(pageSize * perSequence, oneOf(r, [1, drawSize(r, 40)]));
    return {
      dims: {
        ...{ B: drawSize(r, 3), Sq: queries, N: drawSize(r, 30), R: pageSize, P: perSequence },
        ...{ Hq: kvHeads * drawSize(r, 3), Hkv: kvHeads, Dh: drawSize(r, oneOf(r, [24, 24, 72])) },
      },
    };
  },
  'tp-attention': (r, settings) => {
    const [tp, kvHeads, headDim] = [oneOf(r, [1, 2, 4]), drawSize(r, 2), 2 * drawSize(settings, 10)];
    const heads = tp * kvHeads * drawSize(r, 2);
    return {
      dims: {
        B: drawSize(r, 2),
        S: drawSize(r, 20),
        D: drawSize(r, 40),
        Q: heads * headDim,
        KV: kvHeads * headDim,
      },
      attrs: { heads, kv_heads: kvHeads, tp },
    };
  },
  'rms-norm': (r) => ({ dims: { T: rows(r, 50), D: drawSize(r, 300) } }),
  rope: (r) => ({ dims: { B: drawSize(r, 3), S: rows(r, 20), H: drawSize(r, 4), Dh: 2 * drawSize(r, 40) } }),
};

/** Of one case, before its op is said to allow nothing. A guess. */
const MOST_DRAWS = 500;
/**
 * So many seeds in a row share what is compiled in: flags, choices, formats, and which tensors are given. Compiling
 * takes most of the time, and sizes are what differs from case to case. Guesses.
 */
const SHARED_SEEDS: Readonly<Record<string, number>> = { moe: 16, attention: 4, 'tp-attention': 8 };
const SHARED_BY_OTHERS = 2;
/** Draws that one set of settings gets before another is taken. A guess. */
const PATIENCE = 25;

/** The same case for the same seed, on every machine. */
export function drawCase(op: Op, seed: number): KernelCase {
  const random = seededRandom(seedOf(`fuzz/${op.name}`, seed));
  const block = Math.floor(seed / (SHARED_SEEDS[op.name] ?? SHARED_BY_OTHERS));
  for (let i = 0; i < MOST_DRAWS; i++) {
    const settings = seededRandom(seedOf(`fuzz/${op.name}/settings/${Math.floor(i / PATIENCE)}`, block));
    const drawn = drawInputs(op, random, settings, `${seed}/${i}`);
    if (drawn === undefined) continue;
    const inputs = (): OpInputs => drawn;
    return {
      family: op.name,
      name: `seed ${seed}: ${describeInputs(drawn)}`,
      quick: false,
      op,
      inputs,
      variants: (gpu) => op.able(gpu, drawn),
      prepare: (gpu, variant) => op.prepare(gpu, drawn, variant),
      reference: referenceOf(op, inputs),
      cost: () => op.cost(drawn),
    };
  }
  invariant(
    false,
    () => `${op.name} refused ${MOST_DRAWS} random inputs in a row; draw-case.ts must know its rules`,
  );
}

/** Undefined when the op refuses what was drawn. */
function drawInputs(op: Op, random: Random, settings: Random, name: string): OpInputs | undefined {
  const { dims, attrs: bound = {} } = SHAPES[op.name]?.(random, settings) ?? { dims: anyDims(op, random) };
  const attrs: Record<string, AttrValue> = {};
  for (const rule of op.attrs) {
    const isCompiled = rule.kind === 'flag' || rule.kind === 'choice';
    const drawn = drawAttr(isCompiled ? settings : random, rule);
    const value = bound[rule.name] ?? drawn;
    if (value !== undefined) attrs[rule.name] = value;
  }
  const make = maker(`fuzz/${op.name}/${name}`);
  const flavour = oneOf<Flavour>(random, ['normal', 'normal', 'outliers', 'whole']);
  const allHalf = chance(settings, 0.2);
  const format = chance(settings, 0.5) ? oneOf(settings, QUANT_FORMATS) : undefined;
  // A router inside: whole numbers make its logits exact, and so the choice.
  const routes = op.inputs.some(({ name: own }) => own === 'gate') && chance(settings, 0.4);
  const tensors: Record<string, Tensor> = {};
  if (op.name === 'paged-attention') {
    const { B: batch = 0, Sq: queries = 0, N: numPages = 0, R: pageSize = 0, P: perSequence = 0 } = dims;
    Object.assign(tensors, drawPages(make, { batch, queries, numPages, pageSize, perSequence }));
  }
  for (const rule of op.inputs) {
    if (tensors[rule.name] !== undefined) continue;
    if (rule.name === 'gate' || rule.name === 'logits') {
      if (rule.optional && (rule.name === 'gate') !== routes) continue;
    } else if (rule.optional && chance(settings, 0.5)) continue;
    const shape = dimNames(rule.dims).map((dim) => dims[dim] ?? 1);
    const whole = routes && (rule.name === 'gate' || rule.name === 'x');
    const values = whole
      ? make.whole(shape, rule.name === 'x' ? 2 : 1)
      : drawTensor(make, rule, shape, flavour);
    const dtype = allHalf && rule.dtypes.includes('f16') ? 'f16' : oneOf(settings, rule.dtypes);
    if (
      rule.quantised &&
      format !== undefined &&
      (format === 'int8' || at(shape, shape.length - 1) % BLOCK === 0)
    ) {
      Object.assign(tensors, quantisedTensors(rule.name, quantise(values, format)));
    } else tensors[rule.name] = dtype === 'f16' || dtype === 'bf16' ? castFloat(values, dtype) : values;
  }
  try {
    separate(make, tensors, inputsOf(op, tensors, attrs).attrs);
    const inputs = inputsOf(op, tensors, attrs);
    op.check(inputs);
    return inputs;
  } catch (error) {
    // Logits that nothing separates are drawn again too.
    if (error instanceof ConfigError || error instanceof RangeError) return undefined;
    throw error;
  }
}

/**
 * Where scores are compared and not logits, the choice hangs on roundings unless they are apart.
 * @throws RangeError when they are not and cannot be made so.
 */
function separate(make: Maker, tensors: Record<string, Tensor>, attrs: ReadonlyMap<string, AttrValue>): void {
  const { logits, gate, x, bias } = tensors;
  const number = (name: string): number => Number(attrs.get(name) ?? 1);
  const count = number('groups');
  if (bias === undefined && count === 1) return;
  const groups =
    count === 1
      ? undefined
      : { count, kept: number('groups_kept'), score: attrs.get('group_score') as GroupLimit['score'] };
  const routed = (numExperts: number): Routed => ({
    ...{
      numExperts,
      topK: number('k'),
      score: attrs.get('score') as ScoreFunction,
      renormalize: false,
      groups,
    },
    ...(bias && { bias }),
  });
  if (logits !== undefined) {
    const [numTokens = 0, numExperts = 0] = logits.shape;
    tensors['logits'] = separatedLogits(make, numTokens, routed(numExperts));
  } else if (gate !== undefined && x !== undefined) {
    const [m = 0, k = 0] = x.shape;
    const n = gate.shape[0] ?? 0;
    if (!areSeparated(matmul(toF64(x), toF64(gate), { m, n, k }), routed(n)))
      throw new RangeError('a choice hangs on roundings');
  }
}

/** For an op that has no entry above. */
function anyDims(op: Op, random: Random): Record<string, number> {
  const names = new Set(op.inputs.flatMap(({ dims }) => dimNames(dims)));
  return Object.fromEntries([...names].map((dim) => [dim, drawSize(random, 24)]));
}

/** 'a f32 [3, 8], b f16 [5, 8]; k=2' */
function describeInputs({ tensors, attrs }: OpInputs): string {
  const shapes = [...tensors].map(([name, { dtype, shape }]) => `${name} ${dtype} [${shape.join(', ')}]`);
  const words = [...attrs].map(([name, value]) => `${name}=${value}`);
  return shapes.join(', ') + (words.length === 0 ? '' : `; ${words.join(' ')}`);
}
