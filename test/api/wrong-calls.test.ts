/** Calls from JavaScript, which no compiler has looked at: wrong ones are the caller's mistake, told as such. */
import { beforeAll, describe, expect, test } from 'vitest';
import { chosen, requireFields, requireOptions } from '../../src/core/given.ts';
import * as api from '../../src/index.ts';
import * as kernels from '../../src/kernels.ts';

type Callable = (...args: unknown[]) => unknown;

/** All functions that are exported, but the classes. */
const functions = Object.entries({ ...api, ...kernels } as Record<string, unknown>).filter(
  (entry): entry is [string, Callable] =>
    typeof entry[1] === 'function' && !/^class\b/.test(Function.prototype.toString.call(entry[1])),
);

/** What a message about a wrong call is: never the engine's own. */
async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return error;
  }
}

let gpu: api.Gpu;
beforeAll(async () => {
  gpu = await api.openGpu(api.nodePlatform());
});

/** These take nothing, or numbers that any number may be. */
const TAKE_ANYTHING = new Set(['nodePlatform', 'powerOfTwo', 'spread', 'spreadPerRank', 'ropeTable']);

/** These do their whole work when they are given nothing, or no more than a device. */
const BY_DEFAULT = new Set([
  'accuracy',
  'bench',
  'check',
  'claims',
  'doctor',
  'growth',
  'layout',
  'profile',
  'routingBalancers',
  'routingCost',
  'routingQuality',
  'tune',
  'validate',
]);
const NEED_A_DEVICE_ONLY = new Set(['chooseClock', 'examineAdapter', 'loadTuning', 'measureClockStep']);

const checked = functions.filter(([name]) => !TAKE_ANYTHING.has(name));

test('all functions are found', () => {
  const names = checked.map(([name]) => name);
  expect(names).toEqual(expect.arrayContaining(['bench', 'runOp', 'createEngine', 'prepareGemm', 'toF32']));
  expect(names.length).toBeGreaterThan(55);
});

describe.each(checked)('%s', (name, call) => {
  test.each([
    ['nothing', []],
    ['null', [null]],
    ['a number', [5]],
    ['a function', [() => 1]],
    ['an empty text, and nothing', ['', undefined]],
  ])('of %s', async (_what, args) => {
    if (args.length === 0 && BY_DEFAULT.has(name)) return;
    expect(await errorOf(() => call(...args))).toBeInstanceOf(api.ConfigError);
  });

  test('of a device and nothing', async () => {
    if (NEED_A_DEVICE_ONLY.has(name)) return;
    const error = await errorOf(() => call(gpu));
    expect(error).toBeInstanceOf(api.ConfigError);
  });
});

describe('options', () => {
  const verbs = [
    'bench',
    'check',
    'doctor',
    'generate',
    'growth',
    'layout',
    'op',
    'profile',
    'routing',
    'tune',
    'validate',
  ] as const;
  const whole = {
    generate: { prompt: 'a', tokens: 1 },
    op: { name: 'matmul', in: 'in', out: 'out' },
    routing: { trace: 'uniform' },
  };

  test.each(verbs)('%s refuses one that it does not have', async (verb) => {
    const options = { ...(Reflect.get(whole, verb) as object | undefined), adaptor: 'swiftshader' };
    const message =
      verb === 'layout' ? /cannot have "adaptor"/ : /cannot have "adaptor" \(did you mean "adapter"/;
    const error = await errorOf(() => (api[verb] as Callable)(options));
    expect(error).toBeInstanceOf(api.ConfigError);
    expect((error as Error).message).toMatch(message);
  });

  test.each([
    ['bench', { seconds: '5' }, /bench has seconds "5"; it must be a number/],
    ['bench', { family: 'moe' }, /bench has family "moe"; it must be a list/],
    ['layout', { layout: 5 }, /layout has layout 5; it must be a string/],
    ['layout', { rank: null }, /layout has rank null; it must be a number/],
    ['generate', { tokens: 1 }, /generate has no prompt; it must be a string/],
    ['op', { name: 'matmul', in: 'x' }, /op has no out/],
    ['doctor', { tuning: 'off' }, /doctor has tuning "off"; it must be true or false/],
    ['tune', { onWarning: 1 }, /tune has onWarning 1; it must be a function/],
    ['validate', { fuzz: true }, /validate has fuzz true; it must be a number/],
  ] as const)('%s of %j', async (verb, options, message) => {
    const error = await errorOf(() => (api[verb] as Callable)(options));
    expect(error).toBeInstanceOf(api.ConfigError);
    expect((error as Error).message).toMatch(message);
  });
});

test('an engine refuses steps that are none, and goes on', async () => {
  const platform = api.nodePlatform();
  const weights = await api.loadCheckpoint('bench/models/tiny-moe', (path) => platform.readFile(path));
  const layout = api.planLayout({ ep: 1, pp: 1, tp: 1, dp: 1 }, weights.config);
  const options = { layout, weights, maxSequences: 1, maxLength: 8 };
  const engine = await api.createEngine(gpu, options);
  const forward = (...args: unknown[]): unknown => (Reflect.get(engine, 'forward') as Callable)(...args);
  for (const args of [
    [],
    [null],
    [5],
    [[5]],
    [[{}]],
    [[{ sequence: 0 }]],
    [[{ sequence: 0, ids: [1] }], { logit: 'all' }],
  ]) {
    expect(await errorOf(() => forward(...args))).toBeInstanceOf(api.ConfigError);
  }
  const { logits } = await engine.forward([{ sequence: 0, ids: [1] }]);
  expect(logits[0]).toHaveLength(weights.config.vocabSize);
  engine.destroy();
  for (const wrong of [{ layout: {} }, { weights: {} }, { maxLength: 'long' }, { maxSequences: undefined }]) {
    const call = api.createEngine as unknown as Callable;
    expect(await errorOf(() => call(gpu, { ...options, ...wrong }))).toBeInstanceOf(api.ConfigError);
  }
});

test.each([
  ['matmul', { a: 5 }],
  ['matmul', { a: null, b: undefined }],
  ['matmul', { a: { dtype: 'f32', shape: [1], data: [1] } }],
  ['matmul', 'tensors'],
  [5, {}],
])('runOp of %j and %j', async (name, tensors) => {
  expect(await errorOf(() => (api.runOp as unknown as Callable)(gpu, name, tensors))).toBeInstanceOf(
    api.ConfigError,
  );
});

test('what is right passes, and of more only what is known is chosen', () => {
  const fields = { a: 'number', b: 'string?', c: 'list?', d: 'any?' } as const;
  expect(() => requireOptions('it', { a: 1 }, fields)).not.toThrow();
  expect(() =>
    requireOptions('it', { a: NaN, b: '', c: new Float32Array(1), d: null }, fields),
  ).not.toThrow();
  expect(() => requireFields('it', { a: 1, z: 1 }, fields)).not.toThrow();
  expect(() => requireOptions('it', { a: 1, z: 1 }, fields)).toThrow('it cannot have "z"');
  expect(chosen({ a: 1, b: undefined, z: 1 }, fields)).toEqual({ a: 1 });
});
