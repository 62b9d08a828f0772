/** Every refusal of an op says what was given, what is expected, and what to do. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { product } from '../../src/core/math.ts';
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { parseAttrs } from '../../src/ops/attrs.ts';
import { inputsOf, opByName, ops, runOp } from '../../src/ops/ops.ts';
import { f32Tensor, type Tensor, tensor } from '../../src/tensor/tensor.ts';
import { testPlatform } from '../setup/gpu.ts';

const zeros = (...shape: number[]): Tensor => f32Tensor(shape, new Float32Array(product(shape)));
const logits = (...values: number[]): Tensor => f32Tensor([1, values.length], values);

type Given = readonly [
  what: string,
  op: string,
  tensors: Record<string, Tensor>,
  attrs: Record<string, number | string | boolean>,
  message: RegExp,
];

const layer = {
  x: zeros(2, 4),
  logits: zeros(2, 8),
  w1: zeros(8, 48, 4),
  w3: zeros(8, 48, 4),
  w2: zeros(8, 4, 48),
};
const withoutUp = { x: layer.x, logits: layer.logits, w1: layer.w1, w2: layer.w2 };
const block = { x: zeros(1, 2, 8), wq: zeros(8, 8), wk: zeros(8, 8), wv: zeros(8, 8), wo: zeros(8, 8) };

const REFUSED: readonly Given[] = [
  [
    'a tensor that is missing',
    'matmul',
    { a: zeros(2, 3) },
    {},
    /^matmul needs the tensor b \[N, K\] \(weights/,
  ],
  [
    'a tensor that is unknown',
    'moe',
    { ...layer, w4: zeros(1) },
    { k: 1 },
    /^moe has no tensor "w4" \(did you mean "w1"\?\)\. It takes: x, logits, gate, w1/,
  ],
  [
    'another rank',
    'gate-topk',
    { logits: zeros(4) },
    { k: 1 },
    /^gate-topk: logits is \[4\]; expected \[T, E\], 2 dimensions\.$/,
  ],
  [
    'another rank with a known size',
    'matmul',
    { a: zeros(2, 3), b: zeros(3) },
    {},
    /b is \[3\]; expected \[N, K\], 2 dimensions \(K = 3\)/,
  ],
  [
    'sizes that do not agree',
    'moe',
    { ...layer, w2: zeros(8, 16, 32) },
    { k: 2 },
    /^moe: w2 is \[8, 16, 32\]; expected \[E, D, F\] = \[8, 4, 48\] from x and w1\.$/,
  ],
  [
    'a dtype',
    'matmul',
    { a: zeros(1, 1), b: tensor('i32', [1, 1], new Int32Array(1)) },
    {},
    /b is I32; it must be F32 or F16/,
  ],
  [
    'a size of zero',
    'matmul',
    { a: zeros(2, 0), b: zeros(2, 0) },
    {},
    /the dimension K is 0; it must be at least 1/,
  ],
  ['no experts', 'gate-topk', { logits: zeros(2, 0) }, { k: 1 }, /the dimension E is 0/],
  [
    'k over E',
    'gate-topk',
    { logits: zeros(1, 4) },
    { k: 5 },
    /k is 5, but logits have 4 experts; k must be from 1 to 4/,
  ],
  [
    'NaN logits',
    'gate-topk',
    { logits: logits(0, NaN) },
    { k: 1 },
    /logits\[0, 1\] is NaN; a top-k needs an order/,
  ],
  ['infinite logits', 'gate-topk', { logits: logits(Infinity, 0) }, { k: 1 }, /logits\[0, 0\] is Infinity/],
  [
    'too many masked experts',
    'gate-topk',
    { logits: logits(-Infinity, 1, -Infinity) },
    { k: 2 },
    /logits\[0\] leaves 1 experts that are not masked by -Infinity, but k is 2/,
  ],
  [
    'too many experts',
    'gate-topk',
    { logits: zeros(1, 1025) },
    { k: 1 },
    /^gate-topk: 1025 experts exceed the 1024 that gating is made for; use fewer\.$/,
  ],
  [
    'groups that do not divide',
    'gate-topk',
    { logits: zeros(1, 10) },
    { k: 1, groups: 4 },
    /10 experts are not 4 groups of equal size; groups must divide the experts/,
  ],
  [
    'more groups kept than there are',
    'gate-topk',
    { logits: zeros(1, 8) },
    { k: 1, groups: 2, groups_kept: 3 },
    /groups_kept is 3, but there are 2 groups; keep at most all/,
  ],
  [
    'k over the groups kept',
    'gate-topk',
    { logits: zeros(1, 8) },
    { k: 3, groups: 4 },
    /k is 3, but 1 groups have 2 experts; keep more groups/,
  ],
  [
    'masks that may leave too few in the groups kept',
    'gate-topk',
    { logits: logits(1, 2, -Infinity, 0) },
    { k: 2, groups: 2 },
    /logits\[0\] leaves 1 experts .* but k is 2; leave at least k in any groups that may be kept/,
  ],
  [
    'a bias of another length',
    'gate-topk',
    { logits: zeros(1, 8), bias: zeros(7) },
    { k: 1 },
    /bias is \[7\]; expected \[E\]/,
  ],
  [
    'an infinite bias',
    'gate-topk',
    { logits: zeros(1, 2), bias: f32Tensor([2], [0, -Infinity]) },
    { k: 1 },
    /bias\[1\] is -Infinity; a bias is finite\. Mask an expert by a logit/,
  ],
  [
    'NaN logits of a layer',
    'moe',
    { ...layer, logits: f32Tensor([2, 8], new Float32Array(16).fill(NaN)) },
    { k: 1 },
    /^moe: logits\[0, 0\] is NaN/,
  ],
  [
    'swiglu_oai without w3',
    'moe',
    withoutUp,
    { k: 1, activation: 'swiglu_oai' },
    /swiglu_oai is a gated unit; give w3/,
  ],
  [
    'b3 without w3',
    'moe',
    { ...withoutUp, b3: zeros(8, 48) },
    { k: 1 },
    /b3 is the bias of w3, which is not given/,
  ],
  [
    'unequal groups',
    'attention',
    { q: zeros(1, 2, 6, 4), k: zeros(1, 2, 4, 4), v: zeros(1, 2, 4, 4) },
    {},
    /6 query heads are not a multiple of 4 key\/value heads; groups must be equal. Try 3 key\/value heads/,
  ],
  [
    'more queries than keys',
    'attention',
    { q: zeros(1, 3, 1, 4), k: zeros(1, 2, 1, 4), v: zeros(1, 2, 1, 4) },
    {},
    /3 queries \(Sq\) are more than 2 keys \(Skv\); with causal=1.*or causal=0/,
  ],
  [
    'no keys',
    'attention',
    { q: zeros(1, 3, 1, 4), k: zeros(1, 0, 1, 4), v: zeros(1, 0, 1, 4) },
    { causal: 0 },
    /there are no keys \(Skv = 0\)/,
  ],
  [
    'a window without a causal mask',
    'attention',
    { q: zeros(1, 1, 1, 4), k: zeros(1, 2, 1, 4), v: zeros(1, 2, 1, 4) },
    { causal: 0, window: 2 },
    /window=2 with causal=0; a window ends at a query's own position.*Give causal=1, or window=0/,
  ],
  [
    'sinks of other heads',
    'attention',
    { q: zeros(1, 1, 2, 4), k: zeros(1, 2, 1, 4), v: zeros(1, 2, 1, 4), sinks: zeros(3) },
    {},
    /sinks is \[3\]; expected \[Hq\] = \[2\] from q/,
  ],
  [
    'a head that is too wide',
    'attention',
    { q: zeros(1, 1, 1, 300), k: zeros(1, 1, 1, 300), v: zeros(1, 1, 1, 300) },
    {},
    /No variant of attention can run here.*head size 300 exceeds 256/,
  ],
  ['an odd head', 'rope', { x: zeros(1, 2, 1, 5) }, {}, /the head size 5 is odd/],
  [
    'heads that do not divide',
    'tp-attention',
    block,
    { heads: 3 },
    /the 8 rows of wq are not a multiple of heads \(3\).*Try heads=2/,
  ],
  [
    'ranks that do not divide',
    'tp-attention',
    block,
    { heads: 4, tp: 3 },
    /heads \(4\) is not a multiple of tp \(3\).*Try tp=2/,
  ],
  [
    'rows of wk',
    'tp-attention',
    block,
    { heads: 4, kv_heads: 2 },
    /wk and wv have 8 rows; expected kv_heads \* head size = 2 \* 2 = 4/,
  ],
  ['an odd head with rope', 'tp-attention', block, { heads: 8 }, /head size 1 is odd/],
  [
    'a small theta',
    'tp-attention',
    block,
    { heads: 4, rope_theta: 0.5 },
    /rope_theta is 0.5; it must be 0 \(none\) or at least 1/,
  ],
];

describe('check refuses', () => {
  test.each(REFUSED)('%s', async (_what, name, tensors, attrs, message) => {
    const given = runOp(gpu, name, new Map(Object.entries(tensors)), attrs);
    await expect(given).rejects.toThrow(message);
    await expect(given).rejects.toThrow(ConfigError);
    expect(gpu.ledger.bytes).toBe(0);
  });
});

const moe = opByName('moe');
const WORDS: readonly (readonly [what: string, words: string[], message: RegExp])[] = [
  ['a word without =', ['k'], /^"k" is not an attribute of moe; write name=value\. It takes: k, score/],
  ['an unknown name', ['k=1', 'scor=softmax'], /^moe has no attribute "scor" \(did you mean "score"\?\)/],
  ['a name given twice', ['k=1', 'k=2'], /the attribute k is given twice/],
  ['a missing attribute', [], /^moe needs the attribute k: an integer from 1 to 16 \(experts per token\)/],
  ['a fraction', ['k=1.5'], /k is "1.5"; it must be an integer from 1/],
  ['nothing after =', ['k='], /k is ""; it must be an integer/],
  ['a value out of range', ['k=0'], /k is "0"; it must be an integer from 1/],
  ['more choices than kernels have room for', ['k=17'], /k is "17"; it must be an integer from 1 to 16/],
  ['a group score', ['k=1', 'group_score=top3'], /did you mean "top2"\?\); it must be top2 or max/],
  [
    'a choice',
    ['k=1', 'score=softmacs'],
    /score is "softmacs" \(did you mean "softmax"\?\); it must be softmax or sigmoid/,
  ],
  ['a flag', ['k=1', 'renormalize=yes'], /renormalize is "yes"; it must be 0 or 1/],
  ['a number', ['k=1', 'alpha=big'], /alpha is "big"; it must be a number/],
  ['an infinite number', ['k=1', 'alpha=1e999'], /alpha is "1e999"; it must be a number/],
];

describe('parseAttrs refuses', () => {
  test.each(WORDS)('%s', (_what, words, message) => {
    expect(() => parseAttrs(moe, words)).toThrow(message);
    expect(() => parseAttrs(moe, words)).toThrow(ConfigError);
  });
});

test('parseAttrs types values and fills in defaults', () => {
  expect(Object.fromEntries(parseAttrs(opByName('gate-topk'), ['k=2', 'renormalize=1']))).toEqual({
    k: 2,
    score: 'softmax',
    renormalize: true,
    groups: 1,
    groups_kept: 1,
    group_score: 'top2',
    scale: 1,
  });
  expect(parseAttrs(opByName('attention'), []).has('scale')).toBe(false);
});

test('every integer of every op refuses what 32 bits do not hold', () => {
  for (const op of ops) {
    const required = op.attrs.filter((a) => a.default === undefined && a.derived === undefined);
    for (const { name } of op.attrs.filter(({ kind }) => kind === 'integer')) {
      const others = required.filter((a) => a.name !== name).map((a) => `${a.name}=${a.min ?? 1}`);
      for (const value of ['4294967296', '1e300', '1.5', '-4294967296']) {
        const given = (): unknown => parseAttrs(op, [...others, `${name}=${value}`]);
        expect(given).toThrow(`${op.name}: ${name} is "${value}"; it must be an integer`);
        expect(given).toThrow(ConfigError);
      }
    }
  }
});

test('an op that does not exist', () => {
  expect(() => opByName('mo')).toThrow(
    /^There is no op "mo" \(did you mean "moe"\?\)\. There are: gate-topk, moe/,
  );
  expect(() => opByName('convolution')).toThrow(/no op "convolution"\. There are/);
});

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

test('a variant that does not exist, or cannot run', async () => {
  const tensors = new Map(Object.entries({ a: zeros(2, 3), b: zeros(2, 3) }));
  await expect(runOp(gpu, 'matmul', tensors, {}, 'fast')).rejects.toThrow(
    /matmul has no variant "fast"\. It has: .*subgroup.*plain/,
  );
  await expect(runOp(gpu, 'matmul', tensors, {}, 'row')).rejects.toThrow(
    /"row" cannot run here: .*multiple of 4.*\. Able: .*plain/,
  );
  const rows = new Map(Object.entries({ x: zeros(1, 4), weight: zeros(4) }));
  await expect(runOp(gpu, 'rms-norm', rows, {}, 'tiled')).rejects.toThrow(/rms-norm has no variant "tiled"/);
  expect(gpu.ledger.bytes).toBe(0);
});

test('tensors over the limit of a binding, and grids that would not hold them', async () => {
  const elements = gpu.limits.maxStorageBufferBindingSize / 4 + 1;
  const wide = { dtype: 'f32', shape: [1, elements], data: new Float32Array(0) } as const;
  const inputs = inputsOf(opByName('matmul'), { a: wide, b: zeros(1, elements > 0 ? 1 : 0) });
  expect(() => opByName('matmul').check(inputs)).toThrow(/b is \[1, 1\]/);
  const most = 8 * gpu.limits.maxComputeWorkgroupsPerDimension;
  const narrow = { a: zeros(1, 1), b: zeros(most + 1, 1) };
  await expect(runOp(gpu, 'matmul', new Map(Object.entries(narrow)))).rejects.toThrow(
    /output columns are more than the .* that a grid of .* holds/,
  );
});
