/** `npm run web:pictures`: the README's pictures of the page, light and dark. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtPage } from './built.ts';
import { closeSite, openSite, visit } from './support.ts';

const PLACE = fileURLToPath(new URL('../../bench/results/examples/', import.meta.url));
const CLIP = { x: 0, y: 0, width: 1200, height: 800 };

const site = await openSite(await builtPage());
try {
  for (const scheme of ['light', 'dark'] as const) {
    const context = await site.browser.newContext({
      colorScheme: scheme,
      viewport: { width: CLIP.width, height: CLIP.height },
    });
    const { page, shows, until, end } = await visit(site, '#/layout', { context });
    const take = (name: string) =>
      page.screenshot({ path: join(PLACE, `page-${name}-${scheme}.png`), clip: CLIP });
    await shows('first product right');
    await take('layout');
    await page.click('nav a[href="#/generate"]');
    await page.click('button.main');
    await shows('each further');
    await take('generate');
    await page.click('nav a[href="#/run"]');
    await page.click('button.main');
    await until("document.querySelector('.verdict')", 600_000);
    await take('run');
    await end();
    await context.close();
  }
} finally {
  await closeSite(site);
}
