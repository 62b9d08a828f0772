/** `moebius report` as its reader has it. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import type { Browser } from 'playwright-core';
import { build, type Rollup } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { report } from '../../src/cli/verbs/report.ts';
import { range } from '../../src/core/math.ts';
import { imbalance } from '../../src/plots/heat-map.ts';
import { bubblesOf } from '../../src/plots/pipeline.ts';
import type { StoredBenchResult } from '../../src/report/file/schema.ts';
import { scratchFolder } from '../cli/spawn.ts';
import { HOSTILE, walkAll, type Walked } from './drawings.ts';
import { openBrowser, openReport, violations } from './page.ts';

const RESULT = 'test/report/result.json';

let browser: Browser;
beforeAll(async () => {
  browser = await openBrowser();
});
afterAll(() => browser.close());

/** The result that is kept here, changed, in a file of its own. */
async function stored(change: (result: StoredBenchResult) => void, name = 'result.json'): Promise<string> {
  const result = JSON.parse(await readFile(RESULT, 'utf8')) as StoredBenchResult;
  change(result);
  const path = join(await scratchFolder(), name);
  await writeFile(path, JSON.stringify(result));
  return path;
}

/** As many rows and samples as a full bench has at most. */
function enlarge(result: StoredBenchResult): void {
  grown(result);
  const rows = result.kernels;
  result.kernels = Array.from({ length: 400 }, (_, i) => {
    const row = structuredClone(rows[i % rows.length]) as StoredBenchResult['kernels'][number];
    if (row.timing.state === 'measured') {
      const [ns = 1] = row.timing.samplesNs;
      row.timing.samplesNs = Array.from(
        { length: 12 },
        (_, j) => ns * (1 + 0.6180339887 * ((j * 7) % 25) * 0.1),
      );
    }
    return { ...row, name: `${row.name} ${i}` };
  });
}

/** With growth, which a quick run has not. */
function grown(result: StoredBenchResult): void {
  const series = {
    name: 'rows',
    variable: 'T',
    what: 'rows',
    expected: 1,
    tolerance: 0.2,
    rule: '',
    reason: '',
  };
  const points = [1, 128, 256].map((size) => ({
    ...{ size, leastNs: 1000 * size, fitted: size > 1 },
    timing: { state: 'measured' as const, clock: 'gpu' as const, samplesNs: [1000 * size], repeats: 1 },
  }));
  result.growth = [
    { ...series, points, fit: { exponent: 1.02, rSquared: 0.999 }, verdict: 'as expected' },
    { ...series, points: points.slice(0, 1), verdict: 'unfit' },
  ];
}

const sideways = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';

describe('the page of a full run', () => {
  let made: Promise<string> | undefined;
  /** Made once, in the first test that asks. */
  const fullPage = (): Promise<string> =>
    (made ??= (async () => report({ files: [await stored(enlarge)], before: [await stored(enlarge)] }))());

  let usual: Promise<string> | undefined;
  /** Of a quick run, beside another: the same parts with fewer rows, which axe walks in a tenth of the time. */
  const usualPage = (): Promise<string> =>
    (usual ??= (async () => {
      const [one, other] = [await stored(() => undefined), await stored(() => undefined)];
      return report({ files: [one], before: [other] });
    })());

  test('is at most 1 MB and holds no script that could run', async () => {
    const html = await fullPage();
    expect(html.length).toBeLessThan(1e6);
    const { document } = parseHTML(html);
    const scripts = [...document.querySelectorAll('script')].map(({ type }) => type);
    expect(scripts).toEqual(['application/json']);
    expect(html).toContain("script-src 'none'");
    expect(html).not.toMatch(/\son\w+=|javascript:|https?:\/\/(?!www\.w3\.org)/i);
  });

  test.each(['light', 'dark'] as const)(
    '%s: opens without a network or a message, and axe finds nothing',
    async (scheme) => {
      const { page, messages } = await openReport(browser, await usualPage(), { scheme });
      expect(await violations(page)).toEqual([]);
      expect(messages).toEqual([]);
      expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe(
        scheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(20, 23, 27)',
      );
      await page.context().close();
    },
  );

  test('a phone of 360 pixels scrolls down only, and sees drawings made for it', async () => {
    const { page } = await openReport(browser, await fullPage(), { width: 360 });
    expect(await page.evaluate(sideways)).toBe(0);
    const widths = await page.evaluate<number[]>(
      '[...document.querySelectorAll("figure svg")].map((svg) => svg.getBoundingClientRect().width).filter((w) => w > 0)',
    );
    expect(widths).toEqual(range(7).map(() => 328));
    await page.context().close();
    const small = await openReport(browser, await usualPage(), { width: 360 });
    expect(await violations(small.page)).toEqual([]);
    await small.page.context().close();
  });

  test('what cannot be seen at once is reached by keyboard', async () => {
    const { page } = await openReport(browser, await fullPage());
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the verdict');
    await page.keyboard.press('Enter');
    expect(await page.evaluate('location.hash')).toBe('#main');
    await page.context().close();
  });
});

test('the result itself is inside, but for the windows of samples', async () => {
  const { document } = parseHTML(await report({ files: [RESULT] }));
  const inside = document.getElementById('moebius-result')?.textContent ?? '';
  const result = JSON.parse(await readFile(RESULT, 'utf8')) as StoredBenchResult;
  for (const { timing } of result.kernels) if (timing.state === 'measured') delete timing.windowsNs;
  expect(JSON.parse(inside)).toEqual(result);
});

test('a software adapter is never taken for a GPU, and a GPU is not warned of', async () => {
  const { document } = parseHTML(await report({ files: [RESULT] }));
  const main = document.querySelector('main');
  expect(main?.textContent).toContain('Not a GPU');
  expect(main?.textContent).toContain("No time here is a GPU's");
  const gpu = await report({ files: [await stored(({ adapter }) => (adapter.facts.kind = 'gpu'))] });
  expect(gpu).not.toContain('Not a GPU');
  const unknown = await report({ files: [await stored(({ adapter }) => (adapter.facts.kind = 'unknown'))] });
  expect(unknown).toContain('does not say that it is a GPU');
});

test('look here first is in the order of time x (1 - share of the roof)', async () => {
  const path = await stored((result) => {
    const [first] = result.kernels;
    if (first === undefined) throw new Error('the result has no rows');
    const row = (name: string, ns: number, share: number) => ({
      ...structuredClone(first),
      ...{
        name,
        chosen: true,
        variant: 'default',
        roof: { share, binds: 'compute' as const, attainableNs: 1 },
      },
      timing: { state: 'measured' as const, clock: 'gpu' as const, samplesNs: [ns], repeats: 1 },
    });
    result.kernels = [
      row('near', 9e6, 0.95),
      row('far', 1e6, 0.1),
      row('above', 9e6, 1.05),
      row('mid', 2e6, 0.5),
    ];
  });
  const { document } = parseHTML(await report({ files: [path] }));
  const rows = [...document.querySelectorAll('#look tbody tr')].map((row) =>
    [...row.querySelectorAll('th, td')]
      .map(({ textContent }) => textContent)
      .slice(0, 4)
      .join(' | '),
  );
  expect(rows.map((row) => row.replace(/^[^:]*: /, ''))).toEqual([
    'mid | 2.00 ms | 50 % | 1.00 ms',
    'far | 1.00 ms | 10 % | 900 us',
    'near | 9.00 ms | 95 % | 450 us',
    'above | 9.00 ms | 100 % | 0 ns',
  ]);
});

describe('what a cluster would see', () => {
  const cellsOf = (html: string, id: string): string[][] =>
    [...parseHTML(html).document.querySelectorAll(`#${id} tbody tr`)].map((row) =>
      [...row.querySelectorAll('th, td')].map(({ textContent }) => textContent),
    );

  test('pipeline, experts and memory have a row per stage or layer, with the sums of the file', async () => {
    const html = await report({
      files: [
        await stored(({ forward }) => {
          const cluster = forward?.sharded?.cluster;
          Object.assign(cluster ?? {}, {
            pipeline: {
              wallNs: 4e6,
              slots: [
                { stage: 0, microBatch: 0, beginNs: 0, ns: 2e6 },
                { stage: 1, microBatch: 0, beginNs: 2e6, ns: 2e6 },
              ],
              ranks: [
                ...[1e6, 2e6].map((computeNs, rank) => ({
                  ...{ stage: 0, rank, computeNs, communicationNs: 0, bubbleNs: 2e6 },
                  ...{ idleNs: 2e6 - computeNs, source: 'split' },
                })),
                ...[{ stage: 1, rank: 0, computeNs: 1e6, communicationNs: 1e6, bubbleNs: 2e6, idleNs: 0 }],
              ].map((rank) => ({ source: 'measured', ...rank })),
            },
            expertLoad: [
              [
                [3, 1],
                [4, 0],
              ],
            ],
          });
        }),
      ],
    });
    expect(cellsOf(html, 'pipeline')).toEqual([
      ['stage 0', '1', '2.00 ms', '0 ns', '2.00 ms', '0 ns', 'split by rows'],
      ['stage 1', '0', '1.00 ms', '1.00 ms', '2.00 ms', '0 ns', 'its own, measured'],
    ]);
    expect(html).toContain('ranks stand in bubbles for 50 % of it');
    expect(cellsOf(html, 'experts')).toEqual([['0', '8', '0', '7', '1.75', '0']]);
    expect(cellsOf(html, 'memory')).toHaveLength(4);
  });

  test('a file that lacks them is told of in words', async () => {
    const { document } = parseHTML(await report({ files: ['test/compare/result.json'] }));
    for (const id of ['pipeline', 'experts', 'memory']) {
      expect(document.getElementById(id)?.textContent).toContain('The file does not have it');
    }
    expect(document.getElementById('growth')?.textContent).toContain('Not measured');
  });

  test('a file of version 1 has a page too', async () => {
    const { document } = parseHTML(await report({ files: ['test/report/result-version-1.json'] }));
    expect(document.querySelector('.verdict')?.textContent).toContain('INCOMPLETE');
    expect(document.getElementById('run')?.textContent).toContain('none: samples of a row lie side by side');
  });

  test('growth is drawn and judged', async () => {
    const html = await report({ files: [await stored(grown)] });
    expect(cellsOf(html, 'growth')).toEqual([
      ['1 rows', 'T', '1.02', '1 ± 0.2', '0.999', '✓ as expected'],
      ['2 rows', 'T', '', '1 ± 0.2', '', '… unfit'],
    ]);
    expect(parseHTML(html).document.querySelectorAll('#growth svg')).toHaveLength(2);
  });
});

test('bubbles are what a stage has no micro-batch for, and a load of one expert is as uneven as it can be', () => {
  const slots = [
    { stage: 1, microBatch: 0, beginNs: 2, ns: 3 },
    { stage: 0, microBatch: 1, beginNs: 2, ns: 1 },
    { stage: 0, microBatch: 0, beginNs: 0, ns: 2 },
  ];
  expect(bubblesOf(slots, 5)).toEqual([
    { stage: 0, beginNs: 3, endNs: 5 },
    { stage: 1, beginNs: 0, endNs: 2 },
  ]);
  expect([imbalance([1, 1, 4]), imbalance([0, 0, 0, 8]), imbalance([0, 0])]).toEqual([2, 4, 1]);
});

test('hostile names stay text', async () => {
  const nasty = `${HOSTILE}\u001b[2J\u202e=1+1`;
  const path = await stored((result) => {
    result.model = nasty;
    result.adapter.facts.name = nasty;
    result.adapter.facts.driver = nasty;
    for (const kernel of result.kernels) Object.assign(kernel, { name: nasty, family: nasty });
    for (const { stages } of result.forward?.sharded?.profiles ?? []) {
      for (const stage of stages) Object.assign(stage, { stage: nasty });
    }
  });
  const html = await report({ files: [path] });
  expect(html).not.toMatch(/[\u001b\u202e]/);
  const { page, messages } = await openReport(browser, html);
  expect(messages).toEqual([]);
  expect(await page.evaluate('document.querySelectorAll("script, b[onload]").length')).toBe(1);
  expect(await page.evaluate('document.querySelector("h1").textContent')).toContain(
    '</svg><script>alert(1)</script>',
  );
  expect(await page.evaluate('JSON.parse(document.getElementById("moebius-result").textContent).model')).toBe(
    nasty,
  );
  await page.context().close();
});

test("Node's drawings are the page's, to 1e-6", async () => {
  const { output } = (
    (await build({
      ...{ configFile: false, logLevel: 'error' },
      build: {
        ...{ write: false, target: 'esnext', minify: false },
        lib: { entry: 'test/report/drawings.ts', formats: ['iife'], name: 'drawn' },
      },
    })) as Rollup.RollupOutput[]
  )[0] ?? { output: [] };
  // Plot moves lines by half a pixel where the screen has one dot per pixel; Node's are those of finer screens.
  const { page } = await openReport(browser, '<!doctype html><title>drawings</title>', { scale: 2 });
  const script = output[0]?.type === 'chunk' ? output[0].code : '';
  const seen = await page.evaluate<Walked[]>(`${script}\n;drawn.walkAll(document)`);
  const made = walkAll(parseHTML('<!doctype html><html><body></body></html>').document);
  expect(made).toHaveLength(14);
  const numbers = /-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/g;
  const a = JSON.stringify(made);
  const b = JSON.stringify(seen);
  expect(a.replace(numbers, '#')).toBe(b.replace(numbers, '#'));
  const far = (a.match(numbers) ?? []).filter(
    (n, i) => !(Math.abs(Number(n) - Number(b.match(numbers)?.[i])) <= 1e-6),
  );
  expect(far).toEqual([]);
  await page.context().close();
});
