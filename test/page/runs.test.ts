/** Fifty runs in a row in the page: what the worker holds of the device, and how the heaps of page and worker grow. */
import type { CDPSession } from 'playwright-core';
import { expect, test } from 'vitest';
import { sum } from '../../src/core/math.ts';
import { isFull } from '../setup/full.ts';
import { builtPage } from './built.ts';
import { closeSite, openSite, visit } from './support.ts';

/** Notes what each job has left on its device, bytes, or why it failed. */
const WATCH_ENDS = `
  globalThis.ended = [];
  const Plain = Worker;
  globalThis.Worker = class extends Plain {
    constructor(...given) {
      super(...given);
      this.addEventListener('message', ({ data }) => {
        if (data.type === 'done') ended.push(data.liveBytes);
        if (data.type === 'failed') ended.push(data.fault.message);
      });
    }
  };
`;

/** Says a method of Chrome's protocol to the worker of a page. */
async function workerOf(cdp: CDPSession): Promise<(method: string) => Promise<unknown>> {
  const attached = new Promise<string>((resolve) => {
    cdp.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
      if (targetInfo.type === 'worker') resolve(sessionId);
    });
  });
  await cdp.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  const sessionId = await attached;
  const answers = new Map<number, (result: unknown) => void>();
  cdp.on('Target.receivedMessageFromTarget', ({ message }) => {
    const { id, result } = JSON.parse(message) as { id: number; result: unknown };
    answers.get(id)?.(result);
  });
  let last = 0;
  return async (method) => {
    const id = ++last;
    const answer = new Promise((resolve) => answers.set(id, resolve));
    await cdp.send('Target.sendMessageToTarget', {
      sessionId,
      message: JSON.stringify({ id, method, params: {} }),
    });
    return answer;
  };
}

/** Bytes of a heap, with what lies beside it. */
const usedOf = (usage: unknown): number =>
  sum(Object.entries(usage as Record<string, number>).map(([of, bytes]) => (of === 'totalSize' ? 0 : bytes)));

test.runIf(isFull)('50 runs in a row leave nothing on the device, and the heaps as they were', async () => {
  const site = await openSite(await builtPage());
  const { page, shows, until, end } = await visit(site, '#/validate?family=rope', { before: WATCH_ENDS });
  await shows('first product right');
  const cdp = await page.context().newCDPSession(page);
  const ask = await workerOf(cdp);
  const heaps = async (): Promise<number> => {
    await cdp.send('HeapProfiler.collectGarbage');
    await ask('HeapProfiler.collectGarbage');
    return usedOf(await cdp.send('Runtime.getHeapUsage')) + usedOf(await ask('Runtime.getHeapUsage'));
  };
  const run = async (number: number): Promise<void> => {
    await page.click('button.main:enabled');
    await until(`ended.length === ${number}`);
  };
  await run(1);
  const before = await heaps();
  for (let number = 2; number <= 51; number++) await run(number);
  const growth = (await heaps()) - before;
  expect(await page.evaluate('[...new Set(ended)]')).toEqual([0]);
  expect(growth).toBeLessThan(5e6);
  await end();
  await closeSite(site);
});
