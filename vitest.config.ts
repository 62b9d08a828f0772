import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import type { Chromium } from './src/platform/node/chromium.ts';
import { findChromium } from './src/platform/node/chromium.ts';
import { LongestFirst } from './test/setup/longest-first.ts';

/** Without a Chromium of ours, Playwright looks for its own and says what is missing. */
const none: Chromium = { executablePath: '', env: {}, args: [] };

/** Packages that tests in the page may import. Named here, or the page reloads in mid-test when the server meets one. */
const BUNDLED = [
  '@petamoriken/float16',
  'fast-check',
  'simple-statistics',
  'tinybench',
  'valibot',
  'wgsl_reflect/wgsl_reflect.module.js',
];

const isThorough = process.env['MOEBIUS_RUNS'] !== undefined || process.env['MOEBIUS_THOROUGH'] !== undefined;

/**
 * What a page shows no better than Node, and takes minutes there: only in a thorough run. There CI takes every
 * kernel's cases and checkpoints of other families to Chromium; a short run takes the smaller families and ops.
 */
const SLOW_IN_PAGE = isThorough
  ? []
  : [
      'test/validate/sabotage.shared.test.ts',
      'test/ops/wide-scales.shared.test.ts',
      'test/ops/extremes.shared.test.ts',
      'test/ops/attention/attention-limits.shared.test.ts',
      'test/ops/attention/attention-special.shared.test.ts',
      'test/ops/moe/gate-extremes.shared.test.ts',
      'test/ops/moe/gate-nan.shared.test.ts',
      'test/ops/moe/huge-logits.shared.test.ts',
      'test/collectives/grids.shared.test.ts',
      'test/measure/probes.shared.test.ts',
      'test/runtime/layouts.shared.test.ts',
      'test/model/families/engine.shared.test.ts',
      'test/kernels/attention/attention.shared.test.ts',
      'test/kernels/attention/paged-attention.shared.test.ts',
      'test/kernels/dense/matmul.shared.test.ts',
      'test/kernels/experts/moe.shared.test.ts',
      'test/kernels/routing/internal.shared.test.ts',
    ];

/** llvmpipe as Mesa installs it; undefined where it is not. */
const LLVMPIPE = ['lvp_icd.json', 'lvp_icd.x86_64.json', 'lvp_icd.aarch64.json']
  .map((name) => `/usr/share/vulkan/icd.d/${name}`)
  .find((path) => existsSync(path));

/** WebGPU's compatibility mode on llvmpipe, through ANGLE; core WebGPU stays SwiftShader whatever Chromium is told. */
const COMPATIBILITY_ARGS = [
  ...['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=opengles', '--use-angle=vulkan'],
  ...['--enable-features=Vulkan,WebGPUCompatibilityMode', '--ignore-gpu-blocklist', '--disable-gpu-sandbox'],
];

/** A second adapter in the page: no timestamps, subgroups or f16, and a name that says nothing. Minutes, so not in `npm test`. */
const WITH_COMPATIBILITY =
  LLVMPIPE !== undefined &&
  (process.env['MOEBIUS_RUNS'] !== undefined || process.env['MOEBIUS_COMPATIBILITY'] !== undefined);

/**
 * llvmpipe compiles vectors of 128 bits in three quarters of the time that those of 256 take: a short run has subgroups of 4.
 * Thorough ones have the machine's own.
 */
const NARROW: Record<string, string> =
  isThorough || process.env['LP_NATIVE_VECTOR_WIDTH'] !== undefined ? {} : { LP_NATIVE_VECTOR_WIDTH: '128' };

/** What tests in the page see of the environment. */
const { MOEBIUS_RUNS, MOEBIUS_THOROUGH } = process.env;
const IN_PAGE: Record<string, string> = {
  ...(MOEBIUS_RUNS !== undefined && { MOEBIUS_RUNS }),
  ...(MOEBIUS_THOROUGH !== undefined && { MOEBIUS_THOROUGH }),
};

/**
 * Node's files and the page's run at once, two of each: compilers of shaders use one core, and a page waits much. Projects of one
 * group need the same number.
 */
const WORKERS = 2;

/** Ends what hangs. What a machine does that has much else to do is slow, not wrong: hooks have taken 130 s at a load of 20. */
const PATIENCE_MS = 600_000;

/** The package by its own name, as the examples import it. */
const OWN_NAME = [
  { find: /^moebius$/, replacement: fileURLToPath(new URL('./src/index.ts', import.meta.url)) },
  { find: /^moebius\/kernels$/, replacement: fileURLToPath(new URL('./src/kernels.ts', import.meta.url)) },
];

export default defineConfig(async () => {
  const { executablePath, env, args } = await findChromium().catch(() => none);
  return {
    test: {
      globalSetup: ['test/setup/command.ts'],
      sequence: { sequencer: LongestFirst },
      projects: [
        {
          resolve: { alias: OWN_NAME },
          test: {
            name: 'node',
            include: ['test/**/*.test.ts'],
            exclude: ['test/browser/**/*.test.ts', 'test/package/**/*.test.ts'],
            pool: 'forks' as const,
            maxWorkers: WORKERS,
            testTimeout: PATIENCE_MS,
            hookTimeout: PATIENCE_MS,
            // What this user has tuned must not decide what tests see.
            env: { ...NARROW, MOEBIUS_TUNING: 'off' },
            sequence: { groupOrder: 0 },
          },
        },
        {
          optimizeDeps: { include: BUNDLED },
          test: {
            name: 'browser',
            include: ['test/browser/**/*.test.ts', 'test/**/*.shared.test.ts'],
            exclude: [...SLOW_IN_PAGE, 'test/browser/compatibility.test.ts'],
            env: IN_PAGE,
            maxWorkers: WORKERS,
            testTimeout: PATIENCE_MS,
            hookTimeout: PATIENCE_MS,
            sequence: { groupOrder: 0 },
            browser: {
              enabled: true,
              api: { host: '127.0.0.1' },
              headless: true,
              screenshotFailures: false,
              instances: [{ browser: 'chromium' as const }],
              provider: playwright({
                launchOptions: {
                  ...(executablePath && { executablePath }),
                  args: [...args],
                  env: { ...process.env, ...env },
                },
              }),
            },
          },
        },
        ...(WITH_COMPATIBILITY
          ? [
              {
                optimizeDeps: { include: BUNDLED },
                test: {
                  name: 'compatibility',
                  include: [
                    'test/browser/compatibility.test.ts',
                    'test/kernels/**/*.shared.test.ts',
                    'test/ops/ops.shared.test.ts',
                    'test/runtime/*.shared.test.ts',
                  ],
                  maxWorkers: 1,
                  testTimeout: PATIENCE_MS,
                  hookTimeout: PATIENCE_MS,
                  env: { MOEBIUS_ADAPTER: 'compatibility' },
                  sequence: { groupOrder: 1 },
                  browser: {
                    enabled: true,
                    api: { host: '127.0.0.1' },
                    headless: true,
                    screenshotFailures: false,
                    instances: [{ browser: 'chromium' as const }],
                    provider: playwright({
                      launchOptions: {
                        ...(executablePath && { executablePath }),
                        args: COMPATIBILITY_ARGS,
                        // Playwright's own would leave Chromium without any GPU process of its kind.
                        ignoreDefaultArgs: ['--disable-gpu'],
                        env: { ...process.env, ...env, VK_ICD_FILENAMES: LLVMPIPE ?? '' },
                      },
                    }),
                  },
                },
              },
            ]
          : []),
      ],
    },
  };
});
