/** What a browser sees of a report: opened as a file, without a network. */
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';
import { findChromium } from '../../src/platform/node/chromium.ts';
import { scratchFolder } from '../cli/spawn.ts';

export async function openBrowser(): Promise<Browser> {
  const { executablePath, args, env } = await findChromium();
  return chromium.launch({
    executablePath,
    args: [...args],
    env: { ...process.env, ...env },
  });
}

export interface View {
  readonly width?: number;
  readonly scheme?: 'light' | 'dark';
  readonly scale?: number;
}

/** The page and every message of its console, those of the Content-Security-Policy included. */
export async function openReport(
  browser: Browser,
  html: string,
  { width = 1200, scheme = 'light', scale = 1 }: View = {},
): Promise<{ readonly page: Page; readonly messages: string[] }> {
  const path = join(await scratchFolder(), 'report.html');
  await writeFile(path, html);
  const context = await browser.newContext({
    ...{ offline: true, colorScheme: scheme, deviceScaleFactor: scale, viewport: { width, height: 800 } },
  });
  const page = await context.newPage();
  const messages: string[] = [];
  page.on('console', (message) => messages.push(message.text()));
  page.on('pageerror', (error) => messages.push(error.message));
  page.on('request', (request) => {
    if (!/^(file|data):/.test(request.url())) messages.push(`asks for ${request.url()}`);
  });
  await page.goto(pathToFileURL(path).href);
  return { page, messages };
}

/** What axe finds wrong: '<rule>: <element>'. */
export async function violations(page: Page): Promise<string[]> {
  const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(`${axe};0`);
  return page.evaluate<string[]>(
    'axe.run().then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => id + ": " + html.slice(0, 120))))',
  );
}
