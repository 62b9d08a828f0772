/** The page of a profile in Chromium: no message, nothing that axe finds, no sideways scroll; hostile names are text. */
import { parseHTML } from 'linkedom';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { range } from '../../src/core/math.ts';
import { renderProfilePage, type ProfilePage } from '../../src/report/html/profile/page.tsx';
import { openBrowser, openReport, violations } from './page.ts';

let browser: Browser;
beforeAll(async () => void (browser = await openBrowser()));
afterAll(() => browser.close());

const row = {
  share: 0.2,
  calls: 2,
  flop: 1e6,
  bytes: 1e5,
  hiddenNs: 0,
  hostSyncs: 0,
  source: 'measured',
} as const;

function pageOf(change: Partial<ProfilePage> = {}): ProfilePage {
  const stages = range(4);
  return {
    ...{
      what: 'step',
      step: 'prefill',
      batch: 16,
      tokens: 32,
      layout: 'ep=16,pp=4,tp=2,dp=2',
      worldSize: 128,
    },
    ...{ adapter: { name: 'a </script><script>alert(1)</script>' }, detail: 'pass', wallNs: 5e7 },
    rows: [
      ...stages.map((stage) => ({
        ...{
          ...row,
          group: 'gpu busy' as const,
          name: `stage ${stage} attention`,
          stage,
          operation: 'attention',
        },
        ...{ ns: 1e7, flopsPerSecond: 1e8, bytesPerSecond: 1e7, roofShare: 0.1, recoverableNs: 9e6 },
      })),
      { ...row, group: 'gpu idle', name: 'host: record', ns: 1e7, recoverableNs: 1e7, hiddenNs: 5 },
    ],
    ...{
      parts: [],
      voidPasses: 1,
      offset: { errorNs: 1e5 },
      clusterNs: 7e6,
      compileNs: 1e9,
      firstUseNs: 1e8,
    },
    ranks: range(128).map((globalRank) => ({
      ...{ globalRank, stage: Math.floor(globalRank / 32), rank: globalRank % 32, source: 'split' as const },
      ...{ computeNs: 1e6, communicationNs: 1e5, bubbleNs: 5e6, idleNs: 9e5 },
    })),
    pipeline: stages.map((stage) => ({ stage, microBatch: 0, beginNs: 1e6 * stage, ns: 1e6 })),
    cost: { median: 1.02, low: 0.9, high: 1.1, resolved: false },
    tuning: { note: 'tuning: none' },
    ...change,
  } as ProfilePage;
}

function rendered(page: ProfilePage): Promise<string> {
  return renderProfilePage(page, parseHTML('<!doctype html><html><body></body></html>').document);
}

test.each([
  ['light', 1000],
  ['dark', 360],
] as const)('%s, %i pixels wide', async (scheme, width) => {
  const { page, messages } = await openReport(browser, await rendered(pageOf()), { scheme, width });
  expect(await violations(page)).toEqual([]);
  expect(messages).toEqual([]);
  expect(
    await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth'),
  ).toBe(0);
  expect(await page.evaluate('document.querySelector("h1").textContent')).toContain('<script>alert(1)');
  await page.context().close();
});

test('without timestamps there are no stages and no ranks, and it says why', async () => {
  const html = await rendered(pageOf({ ranks: [], pipeline: [], clusterNs: 0 }));
  const { document } = parseHTML(html);
  expect([...document.querySelectorAll('main section')].map(({ id }) => id)).toEqual([
    ...['look', 'account', 'method'],
  ]);
  const first = document.querySelector('#look tbody tr')?.textContent;
  expect(first).toContain('stage 0 attention');
});
