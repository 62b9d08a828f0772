/** The map of ranks: every rank of a small layout is there once, in valid XML. */
import { parseHTML } from 'linkedom';
import { expect, test } from 'vitest';
import { explainLayout } from '../../src/layout/explain.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { drawRanks } from '../../src/layout/rank-map.ts';
import { drawReadings, ranksOfReading } from '../../src/layout/reading-map.ts';
import { readingsOf } from '../../src/layout/readings.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { presetNamed } from '../../src/model/presets.ts';

const drawing = (layout: string, name = 'card') => {
  const config = { ...presetNamed('card').config, name };
  return drawRanks(explainLayout(planLayout(parseLayout(layout), config), config));
};
const texts = (svg: string, kind: string): (string | null)[] =>
  [...parseHTML(svg).document.querySelectorAll(`text.${kind}`)].map((node) => node.textContent);

test('the reference deployment: 128 cells, 64 TP groups, experts under their ranks', () => {
  const svg = drawing('ep=16,pp=4,tp=2,dp=2');
  expect(texts(svg, 'rank')).toEqual(Array.from({ length: 128 }, (_, rank) => String(rank)));
  expect(texts(svg, 'experts').slice(0, 3)).toEqual(['e 0', 'e 1', 'e 2']);
  expect(parseHTML(svg).document.querySelectorAll('rect.group').length).toBe(64);
});

test('what is too much to look at is left out and told', () => {
  const svg = drawing('ep=16,tp=1,dp=64');
  expect(texts(svg, 'rank').length).toBe(64);
  expect(svg).toContain('replicas 4 to 63 are alike');
});

test('a hostile name is text', () => {
  const svg = drawing('ep=2', '<script>"&\u0007');
  expect(svg).toContain('&lt;script&gt;&quot;&amp;?');
  expect(svg).not.toContain('<script');
});

test('under every reading each part of the experts is on as many ranks of a stage, and each rank there once', () => {
  for (const tuple of [
    'ep=16,pp=4,tp=2,dp=2',
    'ep=4,tp=2,dp=2',
    'ep=6,pp=2,tp=4,dp=3',
    'ep=8,tp=8',
    'tp=3',
  ]) {
    const spec = parseLayout(tuple);
    for (const reading of readingsOf(spec)) {
      if (reading.views === null) continue;
      const all = Array.from({ length: spec.pp }, (_, stage) => ranksOfReading(spec, reading, stage));
      expect(
        all
          .flat()
          .map(({ rank }) => rank)
          .sort((a, b) => a - b),
      ).toEqual(Array.from({ length: reading.worldSize }, (_, rank) => rank));
      const sizeOf = (axis: string) =>
        reading.views?.expert.find((factor) => factor.axis === axis)?.size ?? 1;
      for (const stage of all) {
        const held = new Map<string, number[]>();
        for (const { ep, piece, copy } of stage)
          held.set(`${ep}/${piece}`, [...(held.get(`${ep}/${piece}`) ?? []), copy]);
        expect(held.size).toBe(sizeOf('ep') * sizeOf('etp'));
        for (const copies of held.values())
          expect(copies.sort((a, b) => a - b)).toEqual(Array.from({ length: sizeOf('edp') }, (_, i) => i));
      }
    }
  }
});

test('a drawing of readings: those that have so many GPUs, and why others fail', () => {
  const spec = parseLayout('ep=16,pp=4,tp=2,dp=2');
  expect(texts(drawReadings(spec, 128), 'label')).toEqual(['folded: folded, dp counts replicas, 128 GPUs']);
  const all = drawReadings(spec);
  expect(texts(all, 'label').length).toBe(3);
  expect(texts(all, 'rank').length).toBe(4 * (32 + 64 + 64));
  expect(all).toContain('vllm: impossible, expert parallelism takes all tp*dp = 4 ranks');
  // 16 parts of the experts, each in two pieces.
  expect(texts(drawReadings(spec, 256), 'experts').slice(-64, -61)).toEqual([
    'ep 0 1/2',
    'ep 0 2/2',
    'ep 1 1/2',
  ]);
});
