import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { at, maxOf, range, sum } from '../../src/core/math.ts';
import { checkChoices } from '../../src/routing/choices.ts';
import { maxOverMean } from '../../src/routing/load.ts';
import { importTraces } from '../../src/routing/trace/import.ts';
import { dealt, idsWithCounts, replayLayer, scaled } from '../../src/routing/trace/replay.ts';
import { type RoutingTrace, traceFromJson, writeTrace } from '../../src/routing/trace/trace.ts';

const read = (name: string): string =>
  readFileSync(new URL(`../../bench/data/routing/${name}`, import.meta.url), 'utf8');

const TRACE: RoutingTrace = {
  ...{ model: 'm', source: 's', numExperts: 4, topK: 2 },
  layers: [
    {
      ...{ layer: 3, name: 'a', numTokens: 3, count_E: [3, 1, 1, 1] },
      ids_TK: Uint32Array.of(0, 1, 2, 0, 0, 3),
      scores_TK: Float32Array.of(0.5, 0.5, 0.75, 0.25, 1, 0),
    },
    { layer: 4, name: '', numTokens: 2, count_E: [2, 2, 0, 0] },
  ],
};

describe('the file of a trace', () => {
  test('is read as it was written', () => {
    expect(traceFromJson(JSON.parse(writeTrace(TRACE)), 'f')).toEqual({
      ...TRACE,
      transitions: undefined,
      layers: [TRACE.layers[0], { ...TRACE.layers[1], ids_TK: undefined, scores_TK: undefined }],
    });
  });

  test('ids of more than 256 experts have two bytes', () => {
    const count_E = range(300).map((e) => (e === 299 || e === 7 ? 1 : 0));
    const layers = [{ layer: 0, name: '', numTokens: 2, count_E, ids_TK: Uint32Array.of(299, 7) }];
    const trace = { ...TRACE, numExperts: 300, topK: 1, layers };
    expect(traceFromJson(JSON.parse(writeTrace(trace)), 'f').layers[0]?.ids_TK).toEqual(
      Uint32Array.of(299, 7),
    );
  });

  const good = JSON.parse(writeTrace(TRACE)) as { layers: Record<string, unknown>[] };
  const layerWith = (fields: object): object => ({ ...good, layers: [{ ...good.layers[0], ...fields }] });
  test.each([
    [[], /is \[\]; it must be an object/],
    [{ ...good, format: 'x' }, /its format is "x"/],
    [{ ...good, version: 2 }, /of version 2; this release reads 1/],
    [{ ...good, numExperts: 1e9 }, /numExperts is 1000000000/],
    [{ ...good, topK: 5 }, /topK is 5 of 4 experts/],
    [{ ...good, layers: [] }, /it has 0 layers/],
    [{ ...good, layers: {} }, /layers is \{\}; it must be a list/],
    [layerWith({ numTokens: 1e300 }), /layer 3 has 1e\+300 tokens/],
    [layerWith({ numTokens: 4 }), /add up to 6, not to 4 tokens x 2/],
    [layerWith({ count: [3, 1, 1] }), /3 counts for 4 experts/],
    [layerWith({ count: [3, 1, 1, -1] }), /count -1 for expert 3/],
    [layerWith({ count: [1, 3, 1, 1] }), /count of expert 0 .* is not that of its ids/],
    [layerWith({ ids: '!!' }), /are not base64/],
    [layerWith({ ids: btoa('\x00') }), /1 ids for 3 tokens x 2/],
    [layerWith({ ids: btoa('\x00\x01\x02\x00\x00\x07') }), /token 2 chose expert 7/],
    [layerWith({ ids: btoa('\x00\x01\x00\x00\x00\x03') }), /token 1 chose expert 0 twice/],
    [layerWith({ scores: btoa('abc') }), /have 3 bytes/],
    [layerWith({ scores: undefined, name: 7 }), /name is 7; it must be a text/],
  ])('what is none is refused: %#', (value, message) => {
    expect(() => traceFromJson(value, 'f')).toThrow(ConfigError);
    expect(() => traceFromJson(value, 'f')).toThrow(message);
  });
});

describe('what others have published', () => {
  test('ids of DeepSeek-V2-Lite', () => {
    const [trace] = importTraces(read('esft-deepseek-v2-lite-law-ids.txt'), 'law');
    expect([trace?.numExperts, trace?.topK, trace?.layers.length]).toEqual([64, 6, 26]);
    // Ia458L
    expect([...(trace?.layers[0]?.ids_TK?.subarray(0, 6) ?? [])]).toEqual([8, 26, 56, 57, 60, 11]);
    expect(maxOf(trace?.layers.map(({ count_E }) => maxOverMean(count_E)) ?? [])).toBeGreaterThan(4);
  });

  test('counts of DeepSeek-V2-Lite, OLMoE and Mixtral', () => {
    const [esft] = importTraces(read('esft-deepseek-v2-lite-counts.csv'), 'esft');
    expect([esft?.topK, esft?.layers.length, esft?.layers[0]?.numTokens]).toEqual([6, 104, 8222]);
    const traces = importTraces(read('olmoe-mixtral-counts.csv'), 'counts');
    expect(traces.map(({ model, numExperts, topK }) => [model, numExperts, topK])).toContainEqual([
      'olmoe topk',
      64,
      8,
    ]);
    expect(traces.map(({ model, numExperts, topK }) => [model, numExperts, topK])).toContainEqual([
      'mixtral-8x7b top1',
      8,
      1,
    ]);
  });

  test('pairs of experts in two layers', () => {
    const [trace] = importTraces(read('olmoe-crosslayer-github.csv'), 'pairs');
    expect(trace?.layers.map(({ layer }) => layer)).toEqual([0, 7, 15]);
    expect(sum(trace?.layers[0]?.count_E ?? [])).toBe(1_671_168);
    expect(trace?.transitions?.length).toBe(2);
  });

  const HEAD = '# tokens 2 of 1; top-2 of 4 experts; one line per MoE layer 1..1; letters';
  test.each([
    ['hello', /begins with "hello"/],
    ['# top-2\nAB', /first line must say/],
    [`${HEAD}\nABCD\nABCD`, /2 lines for the layers 1 to 1/],
    [`${HEAD}\nABC`, /layer 1 has 3 letters/],
    [`${HEAD}\nAB D`, /the letter " "/],
    [`${HEAD}\nABAE`, /token 1 .*chose expert 4/],
    [`${HEAD}\nAABC`, /chose expert 0 twice/],
    ['layer,tokens,e0,e1\n0,2,x,1', /e0 is "x"/],
    ['layer,tokens,e0,e1\n0,2,1,2', /topK is 1.5/],
    ['layer,selections,e0,e1\n0,2,1,1', /top-k of "" is not known/],
    ['from_layer,to_layer,from_expert,e0,e1\n0,1,1,1,1', /must come in order/],
    ['from_layer,to_layer,from_expert,e0,e1\n0,1,0,1,1', /a row and a column for each/],
  ])('%j is refused', (text, message) => {
    expect(() => importTraces(text, 'f')).toThrow(ConfigError);
    expect(() => importTraces(text, 'f')).toThrow(message);
  });
});

test('counts become tokens whose experts differ and have exactly these counts', () => {
  const counts = scaled([500, 250, 250, 0], 20, 2);
  expect(counts).toEqual([20, 10, 10, 0]);
  const ids_TK = idsWithCounts(counts, 2, 1);
  checkChoices({ numExperts: 4, topK: 2, ids_TK, scores_TK: ids_TK });
  expect(range(4).map((e) => ids_TK.filter((id) => id === e).length)).toEqual(counts);
  expect(idsWithCounts([], 2, 1).length).toBe(0);
});

test('a layer is dealt to micro-batches and sources in order', () => {
  const { choices, facts } = replayLayer(at(TRACE.layers, 0), { numExperts: 4, topK: 2, most: 9, seed: 1 });
  expect(facts).toEqual({ ids: 'recorded', scores: 'recorded' });
  const ids = dealt(choices, 2, 2).map((sources) => sources.map(({ ids_TK }) => Array.from(ids_TK)));
  expect(ids).toEqual([
    [
      [0, 1],
      [2, 0],
    ],
    [[0, 3], []],
  ]);
  const counts = replayLayer(at(TRACE.layers, 1), { numExperts: 4, topK: 2, most: 1, seed: 1 });
  expect(counts.facts).toEqual({ ids: 'assumed', scores: 'assumed' });
  expect(Array.from(counts.choices.scores_TK)).toEqual([2 / 3, 1 / 3]);
});
