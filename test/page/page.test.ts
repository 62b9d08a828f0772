/** The built page in Chromium, with the headers that moebius serve gives it. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PageFiles } from '../../src/cli/serve/server.ts';
import { printableLines } from '../../src/core/text/printable.ts';
import { type FamilyReference, folderOf, referenceOf } from '../model/families/checkpoints.ts';
import { builtPage } from './built.ts';
import { closeSite, openSite, visit, type Site } from './support.ts';
import { isFull, isThorough } from '../setup/full.ts';

/** `import{a as b}from"./c.js"` as the build writes it; what is loaded later is `import(...)`. */
const STATIC_IMPORT =
  /(?:^|[;}])\s*(?:import|export)\s*(?:[\w$*{][^;"'()]*?from\s*)?["'`]\.\/([^"'`]+\.js)["'`]/g;

const RESULT = fileURLToPath(new URL('../report/result.json', import.meta.url));

let folder: string;
let files: PageFiles;
let site: Site;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'moebius-page-'));
  files = await builtPage();
  site = await openSite(files);
});
afterAll(async () => {
  await closeSite(site);
  await rm(folder, { recursive: true, force: true });
});

describe('the build', () => {
  test('is at most 300 kB gzipped before checkpoint and drawings: what page and worker load at once', async () => {
    const assets = await readdir(join(files.page, 'assets'));
    const textOf = (name: string): Promise<string> => readFile(join(files.page, 'assets', name), 'utf8');
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
    for (const name of await readdir(join(files.page, 'assets'))) {
      const text = await readFile(join(files.page, 'assets', name), 'utf8');
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

/** Notes when the page called a job off, and when its worker had ended it, ms. */
const WATCH_CANCEL = `
  const Plain = Worker;
  globalThis.Worker = class extends Plain {
    constructor(...given) {
      super(...given);
      this.addEventListener('message', ({ data }) => {
        if (data.type === 'failed') globalThis.endedMs = performance.now();
      });
    }
    postMessage(order) {
      if (order.type === 'cancel') globalThis.askedMs = performance.now();
      super.postMessage(order);
    }
  };
`;

/** Notes how long the longest task of the main thread took, ms. */
const WATCH_TASKS = `
  globalThis.longestTask = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longestTask = Math.max(longestTask, duration);
  }).observe({ type: 'longtask' });
`;

describe('a visit', () => {
  test('shows the adapter, checks a first product, and a run fills the screen until it is cancelled', async () => {
    const { page, messages, until, shows, text, end } = await visit(site, '', {
      before: WATCH_TASKS + WATCH_CANCEL,
    });
    await shows('first product right');
    expect(await text()).toMatch(/swiftshader.*software: a CPU plays the GPU/);
    await page.evaluate('longestTask = 0');
    await page.click('button.main');
    // The second tile comes after all checks, which take half a minute on one core.
    await until(`document.querySelectorAll('.tiles li').length > ${isThorough ? 1 : 0}`);
    await until('document.querySelectorAll(\'[aria-label="Checks by family"] tbody tr\').length > 0');
    const longestTask = Number(await page.evaluate('longestTask'));
    await page.click('text=Cancel');
    await shows('Cancelled. What was finished stays.');
    // Times need a machine of its own. By itself a run ends within 300 ms; after 2 s its worker would be ended.
    if (isFull) {
      expect(longestTask).toBeLessThan(50);
      await until('globalThis.endedMs > 0', 2000);
      expect(await page.evaluate('endedMs - askedMs')).toBeLessThan(300);
    }
    expect(await page.isEnabled('button.main')).toBe(true);
    expect(await page.locator('[aria-label="Checks by family"] tbody tr').count()).toBeGreaterThan(0);
    expect(messages).toEqual([]);
    await end();
  });
});

/** The bytes of a file that the page saves. */
async function saved(page: Page, button: string): Promise<{ name: string; bytes: Buffer }> {
  const [download] = await Promise.all([page.waitForEvent('download'), page.click(`text=${button}`)]);
  return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
}

describe('what a browser keeps', () => {
  /** As an earlier visit left it: in a tab that was closed at the end of a run, or in the midst of one. */
  async function leave(page: Page, kept: Record<string, unknown>, file?: Buffer): Promise<void> {
    const value = { date: '2026-02-03T04:05:06Z', adapter: 'Some GPU', note: '', failures: [], ...kept };
    const bytes = file ? `Uint8Array.from(atob('${file.toString('base64')}'), (c) => c.charCodeAt(0))` : '';
    await page.evaluate(`new Promise((resolve, reject) => {
      const request = indexedDB.open('moebius');
      request.onerror = reject;
      request.onsuccess = () => {
        const change = request.result.transaction('kept', 'readwrite');
        change.objectStore('kept').put({ ...${JSON.stringify(value)}${bytes && `, file: ${bytes}`} }, 'bench');
        change.oncomplete = () => { request.result.close(); resolve(0); };
      };
    })`);
  }
  const family = { family: 'rope', runs: 3, failed: 0, worstShare: 0.5, worst: 'primes' };

  test('a whole result comes back after a reload, and is saved as it was and as a report', async () => {
    const { page, messages, shows, end } = await visit(site);
    await shows('first product right');
    const file = await readFile(RESULT);
    await leave(page, { state: 'done', tiles: [], rows: [], families: [family] }, file);
    await page.reload();
    await shows('Of 2026-02-03 04:05 UTC on Some GPU.');
    const json = await saved(page, 'Save JSON');
    expect(json.name).toMatch(/^\d{8}-\d{6}-chrome-[\w-]+\.json$/);
    expect(json.bytes.equals(file)).toBe(true);
    const html = await saved(page, 'Save HTML report');
    expect(html.name).toBe(json.name.replace('.json', '.html'));
    const { adapter } = JSON.parse(file.toString()) as { adapter: { facts: { name: string } } };
    // Whole, with its drawings. Compared so that a failure does not print all of it.
    const text = html.bytes.toString();
    expect([
      text.includes(adapter.facts.name),
      /^<!doctype html>[\s\S]*<svg[\s\S]*<\/html>\s*$/i.test(text),
    ]).toEqual([true, true]);
    expect(messages).toEqual([]);
    await end();
  });

  test('of a run that had not ended the finished rows come back, and what is no longer understood does not', async () => {
    const { page, shows, until, text, end } = await visit(site);
    await shows('first product right');
    const row = { family: 'rope', name: 'one', variant: 'plain', chosen: true, rounds: 3 };
    const rows = [{ ...row, state: 'measured', ns: 1234 }];
    await leave(page, { state: 'running', tiles: [], rows, families: [family] });
    await page.reload();
    await shows('it did not come to its end, finished rows are kept');
    expect(await page.locator('[aria-label="Checks by family"] tbody tr').count()).toBe(1);
    expect(await text()).toContain('1.23 us');
    await leave(page, { state: 'running', tiles: 'none', rows, families: [] });
    await page.reload();
    await until("document.querySelector('.empty')");
    await end();
  });
});

/** What is said to Perfetto's page, which answers once it is there. */
const PERFETTO = `
  globalThis.said = [];
  globalThis.open = (url) => {
    const { port1 } = new MessageChannel();
    port1.postMessage = (data, origin) => {
      said.push({ url, origin, data: data === 'PING' ? data : [...new Uint8Array(data.perfetto.buffer)] });
      if (data === 'PING') dispatchEvent(new MessageEvent('message', { source: port1, data: 'PONG' }));
    };
    return port1;
  };
`;

test('a profiled step is saved as a trace, and the same bytes are handed to Perfetto', async () => {
  const { page, messages, shows, until, end } = await visit(
    site,
    '#/timeline?ep=1&pp=2&tp=1&dp=1&batch=2&tokens=2',
    { before: PERFETTO },
  );
  await shows('first product right');
  await page.click('button.main');
  await shows('for the step on this one adapter');
  const trace = await saved(page, 'Save trace');
  expect(trace.name).toBe('step.pftrace');
  // A trace is packets, each under field 1.
  expect(trace.bytes[0]).toBe(0x0a);
  await page.click('text=Open in Perfetto');
  await until('said.length > 1');
  const said: { url: string; origin: string; data: unknown }[] = await page.evaluate('said');
  expect(said.map(({ url, origin }) => `${url} ${origin}`)).toContain(
    'https://ui.perfetto.dev https://ui.perfetto.dev',
  );
  expect(said.at(-1)?.data).toEqual([...trace.bytes]);
  expect(messages).toEqual([]);
  await end();
});

test('a folder that is dropped is the model; one whose weights are cut says so, and tiny-moe is still there', async () => {
  const dropped = join(folder, 'dropped');
  await mkdir(dropped);
  for (const name of ['config.json', 'vocab.json', 'model.safetensors']) {
    await cp(join(files.model, name), join(dropped, name));
  }
  const { page, messages, shows, until, end } = await visit(site, '#/generate?ep=1&pp=1&tp=1&dp=1&tokens=3');
  await shows('first product right');
  await page.click('text=A model of your own');
  await page.locator('input[webkitdirectory]').setInputFiles(dropped);
  await shows('with the folder of 3 files');
  await page.click('button.main');
  await until("document.querySelector('.spoken')?.dataset.tokens === '3'");
  await shows('each further');
  const whole = await readFile(join(dropped, 'model.safetensors'));
  await writeFile(join(dropped, 'model.safetensors'), whole.subarray(0, whole.length / 2));
  await page.locator('input[webkitdirectory]').setInputFiles(dropped);
  await page.click('button.main');
  await shows('model.safetensors');
  await until("document.querySelector('.message.bad')");
  await page.click('text=Use tiny-moe again');
  await page.click('button.main');
  await shows('each further');
  expect(messages).toEqual([]);
  await end();
});

test.skipIf(!isThorough)(
  'a checkpoint as Hugging Face has it: its tokenizer, a layout that suits it, and its chat template',
  async () => {
    const own = join(folder, 'qwen3-moe');
    await cp(folderOf('qwen3-moe'), own, { recursive: true });
    const { cases } = await referenceOf('qwen3-moe');
    const [, plain, chat] = cases as [
      FamilyReference['cases'][0],
      FamilyReference['cases'][0],
      FamilyReference['cases'][0],
    ];
    const hash = `#/generate?tokens=${plain.greedy.length}&prompt=${encodeURIComponent(plain.text)}`;
    const { page, messages, shows, until, end } = await visit(site, hash);
    await shows('first product right');
    await page.click('text=A model of your own');
    const [begin, message] = ['<|im_start|>user\n', chat.text.slice(17)];
    expect(chat.text.startsWith(begin)).toBe(true);
    const template = `{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% endfor %}`;
    await writeFile(join(own, 'chat_template.jinja'), template);
    await page.locator('input[webkitdirectory]').setInputFiles(own);
    // ep=16 of the reference deployment would not divide the experts.
    await shows('2 layers, 8 experts');
    expect(await page.locator('input[list]').inputValue()).toBe('ep=8,pp=1,tp=1,dp=1');
    await page.click('button.main');
    await until("document.querySelector('.spoken')?.dataset.tokens === '24'");
    await shows('each further');
    const spoken = (): Promise<string> => page.evaluate("document.querySelector('.spoken').textContent");
    expect(await spoken()).toBe(printableLines(plain.text + plain.greedyText));
    await page.locator('textarea').first().fill(message);
    await page.selectOption('.options select', '1');
    await page.click('button.main');
    await until("document.querySelector('.spoken')?.dataset.tokens === '24'");
    await shows('each further');
    expect(await spoken()).toBe(printableLines(message + chat.greedyText));
    await rm(join(own, 'chat_template.jinja'));
    await page.locator('input[webkitdirectory]').setInputFiles(own);
    await page.click('button.main');
    await shows('this model comes without a chat template');
    await writeFile(join(own, 'config.json'), '{"model_type": "llama"}');
    await page.locator('input[webkitdirectory]').setInputFiles(own);
    await until("/config.json.*llama/.test(document.querySelector('.drop .message.bad')?.textContent)");
    expect(messages).toEqual([]);
    await end();
  },
);
