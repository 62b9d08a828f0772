/** Schedules on steps of known cost, so that every time is known by hand. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sum } from '../../src/core/math.ts';
import { FRAMEWORK } from '../../src/planner/serving/framework.ts';
import type { StepCost, StepLoad, StepTime } from '../../src/planner/serving/step-cost.ts';
import { simulate, SHARES, type SimulationSetting } from '../../src/planner/simulate/simulate.ts';
import { summarise } from '../../src/planner/simulate/summary.ts';
import { closedLoop, poisson, traceOf, type Workload } from '../../src/planner/simulate/workload.ts';

/** A step of `us(load)`, all of it dense. */
const costOf = (us: (load: StepLoad) => number): StepCost =>
  Object.assign(
    (load: StepLoad): StepTime => {
      const total = us(load);
      return { attention: 0, dense: total, experts: 0, imbalance: 0, exposed: 0, overhead: 0, total };
    },
    { handOver: () => 0 },
  );

const setting = (
  us: (load: StepLoad) => number,
  more: {
    stages?: number;
    instances?: number;
    groups?: number;
    capacity?: number;
    maxTokens?: number;
    reserved?: number;
    pollSteps?: number;
  } = {},
): SimulationSetting => ({
  pool: {
    setting: {
      cost: costOf(us),
      framework: {
        ...FRAMEWORK.vllm,
        maxTokens: more.maxTokens ?? 8192,
        reserved: more.reserved ?? 1,
        pollSteps: more.pollSteps ?? 1,
      },
      stages: more.stages ?? 1,
      groups: more.groups ?? 1,
      capacity: more.capacity ?? 1e9,
      maxSequences: 1024,
      promptsOnly: false,
    },
    instances: more.instances ?? 1,
    gpus: more.stages ?? 1,
  },
});

const open = (...requests: [arrivalS: number, input: number, output: number][]): Workload => ({
  kind: 'open',
  requests: requests.map(([arrivalS, input, output]) => ({ arrivalS, input, output })),
});

test('one request: a step for the prompt, then a step a token', () => {
  const { requests, horizonUs, steps } = simulate(
    setting(() => 100),
    open([0, 10, 5]),
  );
  expect(requests[0]).toMatchObject({ firstUs: 100, lastUs: 500 });
  expect([horizonUs, steps]).toEqual([500, 5]);
});

test('an arrival in the midst of decoding joins at the next step', () => {
  // 100 us a step; the second comes at 250 us, is read from 300 to 400.
  const { requests } = simulate(
    setting(() => 100),
    open([0, 10, 50], [250e-6, 10, 2]),
  );
  expect(requests[1]).toMatchObject({ scheduledUs: 300, firstUs: 400, lastUs: 500 });
  expect(requests[0]?.lastUs).toBe(5000);
});

test('without room for its cache a request waits', () => {
  const { requests } = simulate(
    setting(() => 100, { capacity: 30 }),
    open([0, 10, 10], [0, 10, 10]),
  );
  expect(requests[0]?.lastUs).toBe(1000);
  expect(requests[1]).toMatchObject({ scheduledUs: 1000, firstUs: 1100 });
});

test('with half of its output reserved it waits for none', () => {
  const { requests } = simulate(
    setting(() => 100, { capacity: 30, reserved: 0.5 }),
    open([0, 10, 10], [0, 10, 10]),
  );
  expect(requests[1]).toMatchObject({ scheduledUs: 0, firstUs: 100 });
});

test('a server that looks for requests every 10 steps lets them in then', () => {
  // Step 1 reads the first; of the steps that follow the tenth ends at 1100 us.
  const { requests } = simulate(
    setting(() => 100, { pollSteps: 10 }),
    open([0, 10, 50], [250e-6, 10, 2]),
  );
  expect(requests[1]).toMatchObject({ scheduledUs: 1100, firstUs: 1200 });
});

test('a request of a closed loop comes its time after the one before has gone, which is no queueing', () => {
  const requests = [
    { arrivalS: 0, input: 1, output: 2 },
    { arrivalS: 0, input: 1, output: 2 },
  ];
  const result = simulate(
    { ...setting(() => 100), requestUs: 30 },
    { kind: 'closed', concurrency: 1, requests },
  );
  expect(result.requests.map(({ arrivalUs, firstUs }) => [arrivalUs, firstUs])).toEqual([
    [0, 130],
    [230, 360],
  ]);
  expect(summarise(result).queueingMs.mean).toBe(0);
});

test('what requests take to be seen scatters them evenly around its mean, and is no queueing', () => {
  const workload = closedLoop({ input: 1, output: 20, least: 1 }, 8, 800);
  const of = (requestSpread: number) =>
    simulate({ ...setting(({ prompts }) => 10 + 100 * prompts), requestUs: 300, requestSpread }, workload);
  const delays = of(1).requests.map(({ seenUs, arrivalUs }) => seenUs - arrivalUs);
  expect(Math.min(...delays)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...delays)).toBeLessThanOrEqual(600);
  expect(sum(delays) / delays.length / 300).toBeCloseTo(1, 1);
  // Equal requests that come together are read together for ever; scattered ones are read one by one.
  expect(summarise(of(0)).ttftMs.mean).toBeCloseTo((300 + 10 + 800) / 1e3, 6);
  expect(summarise(of(1)).ttftMs.mean).toBeLessThan(0.8);
});

test('a request that could never fit is refused with both sizes', () => {
  expect(() =>
    simulate(
      setting(() => 100, { capacity: 30 }),
      open([0, 30, 1]),
    ),
  ).toThrow(/needs 31 positions.*room for 30/);
});

describe('a pipeline', () => {
  test.each([
    [1, 4],
    [4, 4],
    [12, 4],
    [10, 2],
    [7, 1],
  ])('of a prompt in %i chunks over %i stages takes (m + p - 1) / p of a chunk', (m, p) => {
    const chunk = 1000;
    const { requests } = simulate(
      setting(({ prompts }) => prompts, { stages: p, maxTokens: chunk }),
      open([0, m * chunk, 1]),
    );
    expect(requests[0]?.firstUs).toBeCloseTo((chunk * (m + p - 1)) / p, 6);
  });

  test('of decoding sequences has no bubble when every stage has a micro-batch', () => {
    const { shares, requests } = simulate(
      setting(() => 400, { stages: 4 }),
      closedLoop({ input: 8, output: 200, least: 1 }, 4, 4),
    );
    expect(shares.bubble).toBeLessThan(0.03);
    // A token of each comes every 400 us, whatever the others do.
    expect(summarise({ requests, horizonUs: 1 }).tpotMs.mean).toBeCloseTo(0.4, 2);
  });

  test('with one sequence leaves three of four stages waiting', () => {
    const { shares } = simulate(
      setting(() => 400, { stages: 4 }),
      open([0, 8, 100]),
    );
    expect(shares.bubble).toBeCloseTo(0.75, 6);
  });
});

test('with disaggregation one pool reads and the other writes, the transfer in between', () => {
  const prompts = setting(() => 100).pool;
  const result = simulate(
    {
      pool: { ...prompts, setting: { ...prompts.setting, promptsOnly: true } },
      decodePool: setting(() => 10).pool,
      transferUs: (positions) => positions,
    },
    open([0, 40, 5]),
  );
  // Read by 100, there by 140, four more tokens.
  expect(result.requests[0]).toMatchObject({ firstUs: 100, lastUs: 180 });
});

test('what two requests send goes through the links of their group one after the other', () => {
  const { pool } = setting(() => 10);
  const apart = (groups: number): number[] =>
    simulate(
      {
        pool: { ...pool, setting: { ...pool.setting, groups, promptsOnly: true } },
        decodePool: pool,
        transferUs: (positions) => positions,
      },
      open([0, 100, 2], [0, 100, 2]),
    ).requests.map(({ lastUs }) => lastUs);
  // Both are read by 10 us and sent by 110; the second waits for the first where there is one group.
  expect(apart(1)).toEqual([120, 220]);
  expect(apart(2)).toEqual([120, 120]);
});

const anyWorkload = fc.record({
  concurrency: fc.integer({ min: 1, max: 20 }),
  count: fc.integer({ min: 1, max: 60 }),
  input: fc.integer({ min: 1, max: 3000 }),
  output: fc.integer({ min: 1, max: 80 }),
  rate: fc.double({ min: 1, max: 1e4, noNaN: true }),
  closed: fc.boolean(),
  stages: fc.constantFrom(1, 1, 2, 4),
  instances: fc.integer({ min: 1, max: 3 }),
  groups: fc.integer({ min: 1, max: 3 }),
});

test('whatever comes: all are served, times are in order, shares sum to one, a repetition is equal', () => {
  fc.assert(
    fc.property(anyWorkload, ({ concurrency, count, input, output, rate, closed, ...more }) => {
      const lengths = { input, output, least: 0.8 };
      const workload = closed
        ? closedLoop(lengths, concurrency, Math.max(count, concurrency))
        : poisson(lengths, rate, count);
      const run = () =>
        simulate(
          setting(({ decodes, prompts, context }) => 50 + decodes + prompts + context / 100, {
            ...more,
            capacity: 20000,
          }),
          workload,
        );
      const result = run();
      expect(result.requests.length).toBe(workload.requests.length);
      for (const { arrivalUs, scheduledUs, firstUs, lastUs, output: tokens } of result.requests) {
        expect(scheduledUs).toBeGreaterThanOrEqual(arrivalUs - 1e-6);
        expect(firstUs).toBeGreaterThan(scheduledUs);
        expect(lastUs - firstUs).toBeGreaterThanOrEqual((tokens - 1) * 50 - 1e-6);
      }
      expect(sum(SHARES.map((share) => result.shares[share]))).toBeCloseTo(1, 9);
      expect(run().requests).toEqual(result.requests);
    }),
    { numRuns: 40 },
  );
});

test('10,000 requests take events in proportion to them', () => {
  const events = (count: number) =>
    simulate(
      setting(({ decodes }) => 1000 + decodes, { instances: 16 }),
      poisson({ input: 1000, output: 250, least: 0.8 }, 200, count),
    ).events;
  const [small, large] = [events(1000), events(10000)];
  expect(large / small).toBeGreaterThan(5);
  expect(large / small).toBeLessThan(15);
});

describe('a trace', () => {
  const columns = ['arrival_s', 'input_tokens', 'output_tokens'];
  const row = (arrival_s: string, input_tokens = '5', output_tokens = '5') => ({
    arrival_s,
    input_tokens,
    output_tokens,
  });

  test('is read in order', () => {
    expect(traceOf(columns, [row('0'), row('0.5', '7')], 't.csv').requests[1]).toEqual({
      arrivalS: 0.5,
      input: 7,
      output: 5,
    });
  });

  test.each([
    ['out of order', columns, [row('1'), row('0.5')], /row 2: arrival_s 0.5 is before/],
    ['with NaN', columns, [row('NaN')], /row 1: arrival_s is "NaN"/],
    ['with half a token', columns, [row('0', '1.5')], /input_tokens is "1.5"/],
    ['with a negative length', columns, [row('0', '-1')], /input_tokens is "-1"/],
    ['without a column', ['arrival_s', 'input_tokens'], [row('0')], /no column output_tokens/],
    ['with an unknown column', [...columns, 'when'], [row('0')], /a column "when"/],
    ['of nothing', columns, [], /no requests/],
  ])('%s is refused', (_what, headings, rows, message) => {
    expect(() => traceOf(headings, rows, 't.csv')).toThrow(message);
  });

  test('a rate of nothing is refused', () => {
    expect(() => poisson({ input: 1, output: 1, least: 1 }, 0, 5)).toThrow(/rate is 0/);
  });
});
