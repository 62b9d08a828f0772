/** A Chromium to run the page and the browser tests in: the installed one, else the one that npm brings. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../../core/errors.ts';
import { unpackOnce } from './unpack.ts';

export interface Chromium {
  readonly executablePath: string;
  /** Variables to set for its process, beside the caller's own. */
  readonly env: Readonly<Record<string, string>>;
  readonly args: readonly string[];
}

/** WebGPU on SwiftShader without a window, as root, and without a word to any server. */
const ARGS = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

const INSTALLED = [
  '/usr/bin/google-chrome-stable',
  '/usr/bin/google-chrome',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/snap/bin/chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];

const PROGRAM = 'chromium';
const SWIFTSHADER = [
  'libEGL.so',
  'libGLESv2.so',
  'libvk_swiftshader.so',
  'libvulkan.so.1',
  'vk_swiftshader_icd.json',
];
const LIBRARIES = [
  'libexpat.so.1',
  'libfreebl3.so',
  'libfreeblpriv3.so',
  'libnspr4.so',
  'libnss3.so',
  'libnssutil3.so',
  'libplc4.so',
  'libplds4.so',
  'libsoftokn3.so',
];

/** The carried program needs nothing but glibc: its other libraries are carried with it. */
async function unpackChromium(): Promise<Chromium> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new ConfigError(
      `no Chrome found, and the one that npm brings is built for x86-64 Linux, ` +
        `this is ${process.arch} ${process.platform}. Install Chrome or name it in CHROME_PATH.`,
    );
  }
  const program = await unpackOnce({
    name: 'chromium',
    archives: [PROGRAM, 'swiftshader.tar'],
    files: [PROGRAM, ...SWIFTSHADER],
  });
  const libraries = await unpackOnce({ name: 'libraries', archives: ['al2023.tar'], files: LIBRARIES });
  const path = [libraries, process.env.LD_LIBRARY_PATH].filter((part) => part).join(':');
  return { executablePath: join(program, PROGRAM), env: { LD_LIBRARY_PATH: path }, args: ARGS };
}

/** CHROME_PATH, else an installed Chrome or Chromium, else the carried one. */
export async function findChromium(): Promise<Chromium> {
  const named = process.env.CHROME_PATH;
  if (named && !existsSync(named))
    throw new ConfigError(`CHROME_PATH is ${named}, and there is no such file.`);
  const installed = named || INSTALLED.find((path) => existsSync(path));
  return installed ? { executablePath: installed, env: {}, args: ARGS } : unpackChromium();
}
