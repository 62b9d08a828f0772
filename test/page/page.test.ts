/** The built page in Chromium, with the headers that moebius serve gives it. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PageFiles } from '../../src/cli/serve/server.ts';
import { builtPage, closeSite, openSite, visit, type Site } from './support.ts';

/** `import{a as b}from"./c.js"` as the build writes it; what is loaded later is `import(...)`. */
const STATIC_IMPORT =
  /(?:^|[;}])\s*(?:import|export)\s*(?:[\w$*{][^;"'()]*?from\s*)?["'`]\.\/([^"'`]+\.js)["'`]/g;

let folder: string;
let files: PageFiles;
let site: Site;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'moebius-page-'));
  files = await builtPage(folder);
  site = await openSite(files);
});
afterAll(async () => {
  await closeSite(site);
  await rm(folder, { recursive: true, force: true });
});

describe('the build', () => {
  test('is at most 300 kB gzipped before checkpoint and drawings: what page and worker load at once', async () => {
    const assets = await readdir(join(folder, 'assets'));
    const textOf = (name: string): Promise<string> => readFile(join(folder, 'assets', name), 'utf8');
    const first = new Set(assets.filter((name) => /^(?:index-.*|worker-.*)\.(?:js|css)$/.test(name)));
    expect(first.size).toBe(3);
    for (const name of first) {
      for (const [, imported = ''] of (await textOf(name)).matchAll(STATIC_IMPORT)) first.add(imported);
    }
    const sizes = await Promise.all(
      [...first].map(async (name) => gzipSync(await textOf(name), { level: 9 }).length),
    );
    expect(sizes.reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(300_000);
    expect([...first].filter((name) => /^(?:frame|models)-/.test(name))).toEqual([]);
    expect(assets.filter((name) => /^(?:frame|models)-/.test(name))).toHaveLength(2);
  });

  test('asks for no module of Node', async () => {
    for (const name of await readdir(join(folder, 'assets'))) {
      const text = await readFile(join(folder, 'assets', name), 'utf8');
      expect(text, name).not.toMatch(/["'`]node:/);
    }
  });
});

describe('the server', () => {
  test('gives every answer the policy: own scripts only, no talk to others', async () => {
    for (const path of ['', 'offline.js', 'models/tiny-moe/config.json', 'no/such/file']) {
      const { headers } = await fetch(site.url + path);
      const policy = headers.get('content-security-policy') ?? '';
      for (const rule of [
        ...["default-src 'none'", "script-src 'self'", "worker-src 'self'", "connect-src 'self'"],
        "require-trusted-types-for 'script'",
      ])
        expect(policy).toContain(rule);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
    }
  });

  test('has the files of the page and of the model, and no others', async () => {
    const statusOf = async (path: string): Promise<number> => (await fetch(site.url + path)).status;
    expect(await statusOf('models/tiny-moe/model.safetensors')).toBe(200);
    for (const path of ['../package.json', '%2e%2e/package.json', 'models/tiny-moe/train.py', 'assets'])
      expect(await statusOf(path), path).toBe(404);
    expect((await fetch(site.url, { method: 'POST' })).status).toBe(405);
  });
});

describe('a visit', () => {
  test('shows the adapter, checks a first product, and a run fills the screen until it is cancelled', async () => {
    const { page, messages, until, shows, text, end } = await visit(site);
    await shows('first product right');
    expect(await text()).toMatch(/swiftshader.*software: a CPU plays the GPU/);
    await page.click('button.main');
    await until("document.querySelectorAll('.tiles li').length > 1");
    await until('document.querySelectorAll(\'[aria-label="Checks by family"] tbody tr\').length > 2');
    const began = Date.now();
    await page.click('text=Cancel');
    await shows('Cancelled. What was finished stays.', 5000);
    expect(Date.now() - began).toBeLessThan(5000);
    expect(await page.isEnabled('button.main')).toBe(true);
    expect(await page.locator('[aria-label="Checks by family"] tbody tr').count()).toBeGreaterThan(2);
    expect(messages).toEqual([]);
    await end();
  });
});
