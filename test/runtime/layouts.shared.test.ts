/** The trained checkpoint on 128 virtual ranks and on few: in Node and in Chromium. */
import { beforeAll, describe, test } from 'vitest';
import { isThorough } from '../setup/full.ts';
import { expectTinyMoe, openFixture, type Fixture } from './tiny-moe-on-layout.ts';

const inBrowser = 'document' in globalThis;

describe('tiny-moe gives the answers of float64', () => {
  let fixture: Fixture;
  // The page runs on the slowest adapter: it takes one window of the text, Node takes all 2,048 characters.
  beforeAll(async () => void (fixture = await openFixture(inBrowser ? 1 : 8)), 120_000);

  const layouts = ['ep=16,pp=4,tp=2,dp=2', 'ep=4,pp=2,tp=4,dp=1', 'ep=1,pp=1,tp=1,dp=1'];
  for (const layout of inBrowser && !isThorough ? layouts.slice(0, 1) : layouts) {
    test(`on ${layout}`, () => expectTinyMoe(fixture, layout), 240_000);
  }
});
