/** The built page as its users have it: from the server with its headers, in a browser, every message of its console kept. */
import { readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { findChromium } from '../../src/platform/node/chromium.ts';
import { servePage, type PageFiles } from '../../src/cli/serve/server.ts';

export interface Site {
  readonly browser: Browser;
  readonly server: Server;
  readonly url: string;
}

/** @param without arguments that the browser is not given. */
export async function openSite(files: PageFiles, without = /(?!)/): Promise<Site> {
  const { executablePath, args, env } = await findChromium();
  const browser = await chromium.launch({
    executablePath,
    args: args.filter((argument) => !without.test(argument)),
    env: { ...process.env, ...env },
  });
  return { browser, ...(await servePage(0, files)) };
}

export async function closeSite({ browser, server }: Site): Promise<void> {
  await browser.close();
  server.close();
  server.closeAllConnections();
}

export interface View {
  readonly width?: number;
  readonly scheme?: 'light' | 'dark';
  /** Of a visitor who was here before. */
  readonly context?: BrowserContext;
  /** Run before the page's own scripts. */
  readonly before?: string;
}

export interface Visit {
  readonly page: Page;
  /** All of its console, faults of its scripts, and requests to others. */
  readonly messages: string[];
  /** Its text. */
  readonly text: () => Promise<string>;
  /** Waits until an expression holds in the page; polled from outside, since the page's policy allows no other. */
  readonly until: (expression: string, ms?: number) => Promise<void>;
  /** Waits until the page shows a text. */
  readonly shows: (text: string, ms?: number) => Promise<void>;
  readonly end: () => Promise<void>;
}

/** No figure: a busy machine takes several times as long as a quiet one. */
const PATIENCE_MS = 600_000;

export async function visit(site: Site, hash = '', view: View = {}): Promise<Visit> {
  const { width = 1200, scheme = 'light', before } = view;
  const context =
    view.context ??
    (await site.browser.newContext({ colorScheme: scheme, viewport: { width, height: 900 } }));
  const page = await context.newPage();
  if (before !== undefined) await page.addInitScript(before);
  const messages: string[] = [];
  page.on('console', (message) => messages.push(message.text()));
  page.on('pageerror', (error) => messages.push(error.message));
  page.on('request', (request) => {
    if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(site.url))
      messages.push(`asks for ${request.url()}`);
  });
  await page.goto(site.url + hash);
  const until = async (expression: string, ms = PATIENCE_MS): Promise<void> => {
    const end = Date.now() + ms;
    while (!(await page.evaluate<boolean>(`!!(${expression})`))) {
      if (Date.now() > end) {
        const seen = (await page.innerText('body')).slice(0, 1500);
        throw new Error(`the page did not come to ${expression}. It shows: ${seen}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  return {
    ...{ page, messages, until },
    text: () => page.innerText('body'),
    shows: (text, ms) => until(`document.body.innerText.includes(${JSON.stringify(text)})`, ms),
    end: async () => {
      await page.close();
      if (view.context === undefined) await context.close();
    },
  };
}

/** What axe finds wrong: '<rule>: <element>'. */
export async function violations(page: Page): Promise<string[]> {
  const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(`${axe};0`);
  return page.evaluate<string[]>(
    'axe.run().then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => id + ": " + html.slice(0, 160))))',
  );
}
