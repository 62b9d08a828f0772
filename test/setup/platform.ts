/** The platform that the test runs on. Only one of the two branches is ever loaded. */
import type { Platform } from '../../src/platform/platform.ts';

async function load(): Promise<Platform> {
  if ('document' in globalThis) {
    const { webPlatform } = await import('../../src/platform/web/web.ts');
    const page = webPlatform({ baseUrl: '/' });
    // As in Node, where the platform reads it by itself.
    const named = (import.meta.env as Readonly<Record<string, string | undefined>>)['MOEBIUS_ADAPTER'];
    return {
      ...page,
      openAdapter: (choice) => page.openAdapter(choice === 'auto' ? (named ?? choice) : choice),
    };
  }
  // The constants of WebGPU, which only a page has by itself.
  const { globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const { nodePlatform } = await import('../../src/platform/node/node.ts');
  return nodePlatform();
}

const platform = await load();

export function testPlatform(): Platform {
  return platform;
}
