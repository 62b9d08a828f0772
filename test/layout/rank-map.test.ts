/** The map of ranks: every rank of a small layout is there once, in valid XML. */
import { parseHTML } from 'linkedom';
import { expect, test } from 'vitest';
import { explainLayout } from '../../src/layout/explain.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { drawRanks } from '../../src/layout/rank-map.ts';
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
