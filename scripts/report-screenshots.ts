/**
 * The first screen of a report as README shows it, light and dark:
 *   npm run example scripts/report-screenshots.ts report.html bench/results/examples/report
 * writes <name>-light.png and <name>-dark.png. An element's id after them takes that section in place of the first screen.
 */
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';
import { chromium } from 'playwright-core';
import { findChromium } from '../src/platform/node/chromium.ts';

const [report, name, section] = process.argv.slice(2);
if (report === undefined || name === undefined) {
  throw new Error('give the report, the name of the pictures, and if wanted the id of a section');
}
const { executablePath, args, env } = await findChromium();
const browser = await chromium.launch({ executablePath, args: [...args], env: { ...process.env, ...env } });
for (const colorScheme of ['light', 'dark'] as const) {
  const context = await browser.newContext({
    ...{ offline: true, colorScheme, deviceScaleFactor: 2, viewport: { width: 1080, height: 1000 } },
  });
  const page = await context.newPage();
  await page.goto(pathToFileURL(resolve(report)).href);
  const path = `${name}-${colorScheme}.png`;
  await (section === undefined
    ? page.screenshot({ path })
    : page.locator(`#${section}`).screenshot({ path }));
  console.log(path);
}
await browser.close();
