/** Every route of the built page: its sights, its words about bad input, and what remains when the adapter goes away. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PageFiles } from '../../src/cli/serve/server.ts';
import { builtPage } from './built.ts';
import { closeSite, openSite, violations, visit, type Site } from './support.ts';

const RESULT = fileURLToPath(new URL('../report/result.json', import.meta.url));
const MODEL = fileURLToPath(new URL('../../bench/models/tiny-moe/', import.meta.url));

/** `npm run test:full` sets it. */
const isFull = process.env['MOEBIUS_RUNS'] !== undefined;

let folder: string;
let files: PageFiles;
let site: Site;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'moebius-routes-'));
  files = await builtPage();
  site = await openSite(files);
});
afterAll(async () => {
  await closeSite(site);
  await rm(folder, { recursive: true, force: true });
});

const ROUTES = [
  ...['run', 'kernels', 'layout', 'search', 'timeline', 'validate', 'generate', 'compare', 'adapter'],
];

test.each(['light', 'dark'] as const)(
  'every route in %s: no message in the console, nothing that axe finds, no wider than a phone',
  async (scheme) => {
    const { page, messages, shows, until, end } = await visit(site, '', { scheme, width: 360 });
    await shows('first product right');
    for (const route of ROUTES) {
      await page.click(`nav a[href="#/${route}"]`);
      await until(`document.querySelector('nav a[aria-current]').getAttribute('href') === '#/${route}'`);
      expect(await violations(page), route).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth'), route).toBeLessThanOrEqual(360);
    }
    expect(messages).toEqual([]);
    await end();
  },
);

test('by keyboard alone: a route, the map of ranks, and its peers', async () => {
  const { page, until, end } = await visit(site);
  await until("document.querySelector('nav a')");
  const focused = (): Promise<string> => page.evaluate("document.activeElement.textContent ?? ''");
  for (let i = 0; i < 20 && (await focused()) !== 'Layout'; i++) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await until("document.activeElement.tagName === 'H1' && document.activeElement.textContent === 'Layout'");
  for (let i = 0; i < 20 && !(await focused()).startsWith('37'); i++) await page.keyboard.press('Tab');
  expect(await page.locator('.cell').count()).toBe(128);
  await page.keyboard.press('ArrowRight');
  await until("document.querySelector('#rank-title').textContent === 'Rank 38'");
  expect(await page.innerText('.peers')).toMatch(/39[\s\S]*6, 22 and 54[\s\S]*102[\s\S]*32, 33, 34 ... 47/);
  await end();
});

describe('addresses', () => {
  test('carry the configuration', async () => {
    const { page, shows, end } = await visit(site, '#/layout?ep=4&pp=2&tp=2&preset=tiny-moe&rank=3');
    await shows('ep=4,pp=2,tp=2,dp=1: 8 ranks');
    expect(await page.innerText('#rank-title')).toBe('Rank 3');
    await end();
  });

  test.each([
    ['#/layout?epp=4', /"epp", which layout does not know \(did you mean "ep"\?\)\. Known are: ep, pp/],
    ['#/layout?ep=many', /ep="many": must be a whole number/],
    ['#/nowhere', /There is no page "nowhere"/],
    ['#/generate?tokens=5&tokens=6', /tokens twice/],
  ])('%s is told what is wrong with it', async (hash, message) => {
    const { text, shows, end } = await visit(site, hash);
    await shows('The defaults are shown.');
    expect(await text()).toMatch(message);
    await end();
  });

  test('a layout that the model cannot have is told the rule and a remedy', async () => {
    const { shows, text, end } = await visit(site, '#/layout?ep=3&tp=2');
    await shows('does not divide');
    expect(await text()).toMatch(/tp \(2\) does not divide ep \(3\).*Try/s);
    await end();
  });
});

test('tiny-moe on the ranks of the card says what it is known to say', async () => {
  const read = async (name: string): Promise<unknown> => JSON.parse(await readFile(MODEL + name, 'utf8'));
  const { prompts } = (await read('reference.json')) as { prompts: { text: string; greedy_ids: number[] }[] };
  const { vocab } = (await read('vocab.json')) as { vocab: Record<string, number> };
  const letters = new Map(Object.entries(vocab).map(([letter, id]) => [id, letter]));
  const [first] = prompts;
  const known = first?.greedy_ids
    .slice(0, 16)
    .map((id) => letters.get(id))
    .join('');
  const hash = `#/generate?tokens=16&prompt=${encodeURIComponent(first?.text ?? '')}`;
  const { page, messages, until, shows, end } = await visit(site, hash);
  await shows('first product right');
  await page.click('button.main');
  await until("document.querySelector('.spoken')?.dataset.tokens === '16'");
  await shows('each further');
  expect(await page.evaluate("document.querySelector('.spoken').textContent")).toBe(`${first?.text}${known}`);
  expect(await page.locator('.heat td').count()).toBe(4 * 16);
  expect(messages).toEqual([]);
  await end();
});

test('a search of layouts: what nothing beats, where a given one stands, and what is wrong', async () => {
  const { page, messages, shows, text, until, end } = await visit(
    site,
    '#/search?gpus=4&layout=ep%3D4&isl=64&osl=16&concurrency=4',
  );
  await page.click('button.main');
  await shows('Where ep=4 stands');
  expect(await text()).toMatch(/The most throughput: \S+, [\d.,]+ output tokens\/s a GPU/);
  await until("document.querySelector('.drawing svg')");
  expect(await page.locator('[aria-label^="Layouts that no other beats"] tbody tr').count()).toBeGreaterThan(
    1,
  );
  expect(await violations(page)).toEqual([]);
  await page.locator('input').nth(1).fill('h1000');
  await page.click('button.main');
  await until("document.querySelector('.message.bad')");
  expect(await page.innerText('.message.bad')).toMatch(/h1000/);
  expect(messages).toEqual([]);
  await end();
});

describe('kernels of one’s own', () => {
  test('one that does not compile is told its line', async () => {
    const { page, shows, text, end } = await visit(site, '#/kernels');
    await shows('first product right');
    await page.click('text=Bring your own kernel');
    await page.click('text=Load the example');
    const [shader, definition] = [page.locator('textarea').nth(0), page.locator('textarea').nth(1)];
    await shader.fill('fn f() {}\n\n@compute @workgroup_size(1) fn main() { let x = nothing; }');
    await page.click('text=Check and time mine');
    await shows('does not compile');
    expect(await text()).toMatch(/line 3, column \d+: unresolved value 'nothing'/);
    await definition.fill('{"family": "matmul", "name": "mine", "grid": ["ceil(numCols", "1", "1"]}');
    await page.click('text=Check and time mine');
    await shows('where ) should be');
    await end();
  });

  // In a browser of its own, whose GPU process hangs from then on.
  test.runIf(isFull)('one that never ends is said to hang, and is called off', async () => {
    const own = await openSite(files);
    const { page, shows, end } = await visit(own, '#/kernels');
    await shows('first product right');
    await page.click('text=Bring your own kernel');
    await page.click('text=Load the example');
    const shader = page.locator('textarea').nth(0);
    const text = await shader.inputValue();
    const body = text.indexOf(') {', text.indexOf('fn main')) + ') {'.length;
    const loop = 'var i = 1u; while (i > 0u) { i = (i * 3u) | 1u; c_MN[0] = f32(i); }';
    await shader.fill(`${text.slice(0, body)} ${loop} ${text.slice(body)}`);
    await page.click('text=Check and time mine');
    await shows('the adapter may hang');
    await page.click('text=Cancel');
    await shows('Cancelled. What was finished stays.', 5000);
    await end();
    await closeSite(own);
  });
});

describe('files that are dropped', () => {
  const drop = async (name: string, content: string | Uint8Array): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, content);
    return path;
  };

  test('two results are compared', async () => {
    const { page, messages, shows, end } = await visit(site, '#/compare');
    for (const side of [0, 1]) await page.locator('input[type=file]').nth(side).setInputFiles(RESULT);
    await page.click('button.main');
    await shows('B beside A');
    expect(messages).toEqual([]);
    await end();
  });

  test('a foreign, a malformed, a huge one and one with NaN are refused with the rule', async () => {
    const { page, messages, shows, end } = await visit(site, '#/compare');
    const input = page.locator('input[type=file]').nth(0);
    await input.setInputFiles(await drop('foreign.json', '{"schema": "other"}'));
    await shows('foreign.json is no moebius-bench result');
    await input.setInputFiles(await drop('cut.json', (await readFile(RESULT, 'utf8')).slice(0, 400)));
    await shows('cut.json');
    await input.setInputFiles(
      await drop('nan.json', (await readFile(RESULT, 'utf8')).replace(/"wallNs": [\d.]+/, '"wallNs": NaN')),
    );
    await shows('nan.json');
    await input.setInputFiles(await drop('huge.json', new Uint8Array(33 * 2 ** 20)));
    await shows('huge.json has 33.0 MiB; at most 32.0 MiB are read');
    await input.setInputFiles(await drop('<img src=x onerror=alert(1)>.json', '{}'));
    await shows('<img src=x onerror=alert(1)>.json');
    expect(await page.locator('.drop img').count()).toBe(0);
    expect(messages).toEqual([]);
    await end();
  });
});

test('what the worker does not take ends the job with the rule, and the adapter is still there', async () => {
  const { page, shows, text, until, end } = await visit(site, '#/kernels');
  await shows('first product right');
  await page.click('text=Bring your own kernel');
  await page.locator('textarea').nth(0).fill('fn f() {}');
  await page.locator('textarea').nth(1).fill(' '.repeat(70_000));
  await page.click('text=Check and time mine');
  await shows('the worker does not understand job.definition');
  await until("document.querySelector('.job') === null");
  expect(await text()).toContain('first product right');
  await end();
});

describe('what may go away', () => {
  test('no adapter: one message with what lifts it, and what needs none still works', async () => {
    const without = await openSite(files, /webgpu|Vulkan/);
    const { page, shows, text, messages, end } = await visit(without);
    await shows('Without one nothing runs here');
    expect(await text()).toMatch(/has no adapter.*chrome:\/\/gpu|has no WebGPU/);
    expect(await page.isDisabled('button.main')).toBe(true);
    await page.click('nav a[href="#/layout"]');
    await shows('128 ranks');
    expect(messages).toEqual([]);
    await end();
    await closeSite(without);
  });

  // Half a minute: a crash of the GPU process, below, shows the same sooner.
  test.runIf(isFull)('a destroyed device: finished rows stay, and the adapter opens again', async () => {
    const { page, shows, until, end } = await visit(site);
    await shows('first product right');
    await page.click('button.main');
    await until('document.querySelectorAll(\'[aria-label="Checks by family"] tbody tr\').length > 0');
    await page.click('nav a[href="#/adapter"]');
    await page.click('text=Destroy the device');
    await until("document.querySelector('.job') === null");
    await page.click('nav a[href="#/run"]');
    await shows('Finished rows are kept.');
    expect(await page.locator('[aria-label="Checks by family"] tbody tr').count()).toBeGreaterThan(0);
    await page.click('text=Reopen');
    await until("document.querySelector('button.main').disabled === false");
    await shows('first product right');
    await end();
  });

  test('a checkpoint that stops half-way is told, and nothing else is lost', async () => {
    const context = await site.browser.newContext({ serviceWorkers: 'block' });
    await context.route('**/model.safetensors', (route) => route.abort());
    const { page, shows, end } = await visit(site, '#/generate', { context });
    await shows('first product right');
    await page.click('button.main');
    await shows('cannot fetch models/tiny-moe/model.safetensors');
    await end();
    await context.close();
  });
});

test('after the first load it opens without a network, and generates', async () => {
  const own = await openSite(files);
  const context = await own.browser.newContext();
  const { page, shows, messages, end } = await visit(own, '#/generate?tokens=2', { context });
  await page.evaluate('navigator.serviceWorker.ready.then(() => true)');
  own.server.close();
  own.server.closeAllConnections();
  await page.reload();
  await shows('first product right');
  await page.click('button.main');
  await shows('each further');
  expect(messages.filter((text) => !/ERR_CONNECTION_REFUSED/.test(text))).toEqual([]);
  await end();
  await context.close();
  await closeSite(own);
});

/** Chrome forgets a crash after two minutes; a busy machine may take as long from one to the next. */
const REMEMBERED_MS = 110_000;

test('a crash of the GPU process, and a second one', async () => {
  const own = await openSite(files);
  const cdp = await own.browser.newBrowserCDPSession();
  const { page, shows, until, end } = await visit(own);
  await shows('first product right');
  const crashInRun = async (): Promise<void> => {
    await page.click('button.main');
    await until("document.querySelector('.job') !== null");
    await until("document.querySelectorAll('.steps li').length > 2");
    await cdp.send('Browser.crashGpuProcess' as 'Browser.close');
    await until("document.querySelector('.job') === null");
  };
  const began = performance.now();
  await crashInRun();
  await shows('Finished rows are kept.');
  await page.click('text=Reopen');
  await until("document.querySelector('button.main')?.disabled === false");
  await shows('first product right');
  await crashInRun();
  const isRemembered = performance.now() - began < REMEMBERED_MS;
  await page.locator('text=/Reopen|Reload/').first().click();
  await until(`/reload${isRemembered ? '' : '|first product right'}/.test(document.body.innerText)`);
  await end();
  await closeSite(own);
});
