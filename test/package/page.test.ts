/** A user of a page: built by Vite without a plugin, opened in Chromium. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { build, preview, type PreviewServer } from 'vite';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { findChromium } from '../../src/platform/node/chromium.ts';

const PAGE = '<!doctype html><title>page</title><script type="module" src="./page.ts"></script>';

const SCRIPT = `
import { compare, f32Tensor, inputsOf, opByName, openGpu, runOp, toF64, webPlatform } from 'moebius/web';
import { gemmVariants } from 'moebius/kernels';

async function run() {
  const platform = webPlatform();
  const gpu = await openGpu(platform);
  const values = (count: number) => Array.from({ length: count }, (_, i) => Math.sin(i + 1));
  const tensors = { a: f32Tensor([37, 64], values(37 * 64)), b: f32Tensor([29, 64], values(29 * 64)) };
  const matmul = opByName('matmul');
  const outputs = await runOp(gpu, 'matmul', tensors);
  const checks = [...matmul.reference(inputsOf(matmul, tensors))].map(([name, { values, shape, budget }]) => {
    const output = outputs.get(name);
    return compare(output ? toF64(output) : [], values, shape, budget);
  });
  const { kind } = gpu.facts;
  gpu.destroy();
  return { kind, checks, shaders: platform.shaderPaths().length, variants: gemmVariants.length };
}
Object.assign(globalThis, { outcome: run() });
`;

// A page has what its user installed: nothing optional.
const root = join(inject('bare'), 'page');
let server: PreviewServer;

beforeAll(async () => {
  await mkdir(root);
  await writeFile(join(root, 'index.html'), PAGE);
  await writeFile(join(root, 'page.ts'), SCRIPT);
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    build: { target: 'esnext', chunkSizeWarningLimit: 2000 },
  });
  server = await preview({
    root,
    configFile: false,
    logLevel: 'warn',
    preview: { host: '127.0.0.1', port: 0 },
  });
});
afterAll(() => server.close());

test('the bundle is one script that asks for no module of Node', async () => {
  const scripts = (await readdir(join(root, 'dist', 'assets'))).filter((name) => name.endsWith('.js'));
  expect(scripts).toHaveLength(1);
  const text = await readFile(join(root, 'dist', 'assets', scripts[0] ?? ''), 'utf8');
  expect(text).not.toMatch(/["']node:|__vite-browser-external/);
});

test('an op in the page agrees with float64', async () => {
  const { executablePath, args, env } = await findChromium();
  const browser = await chromium.launch({ executablePath, args: [...args], env: { ...process.env, ...env } });
  try {
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on('pageerror', ({ message }) => problems.push(message));
    await page.goto(server.resolvedUrls?.local[0] ?? '');
    const outcome = await page.evaluate(
      () => (globalThis as unknown as { outcome: Promise<unknown> }).outcome,
    );
    expect(problems).toEqual([]);
    expect(outcome).toMatchObject({ kind: 'software', checks: [{ pass: true, count: 37 * 29, over: 0 }] });
  } finally {
    await browser.close();
  }
});
