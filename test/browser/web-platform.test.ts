/** What only the page does: its adapter by name, files by fetch. The adding of vectors runs here too. */
import { describe, expect, test, vi } from 'vitest';
import { kindOf, webPlatform } from '../../src/platform/web/web.ts';
import { testPlatform } from '../setup/platform.ts';

describe('the platform in a page', () => {
  test('is the one that tests get here', () => {
    expect(testPlatform().name).toBe('browser');
  });

  test('opens the adapter by a part of its name', async () => {
    const { facts } = await webPlatform().openAdapter('SWIFT');
    expect(facts.kind).toBe('software');
    expect(facts.architecture).toBe('swiftshader');
    expect(facts.search.join(' ')).toMatch(/The browser gives/);
  });

  test('an adapter that says nothing of itself is unknown, neither a GPU nor a driver on the CPU', () => {
    const nothing = { description: '', device: '', vendor: '', architecture: '', isFallbackAdapter: false };
    const info = (said: object): GPUAdapterInfo => ({ ...nothing, ...said }) as GPUAdapterInfo;
    expect(kindOf(info({}))).toBe('unknown');
    expect(kindOf(info({ isFallbackAdapter: true }))).toBe('software');
    expect(kindOf(info({ architecture: 'swiftshader' }))).toBe('software');
    expect(kindOf(info({ vendor: 'apple' }))).toBe('gpu');
  });

  test('a wrong name is refused, with the names that there are', async () => {
    await expect(webPlatform().openAdapter('voodoo')).rejects.toThrow(
      /no adapter opens for "voodoo".*SwiftShader/i,
    );
  });

  test('a browser whose WGSL lacks what kernels are written with is refused, and told which has it', async () => {
    const features = vi.spyOn(navigator.gpu, 'wgslLanguageFeatures', 'get');
    try {
      features.mockReturnValue(new Set<string>());
      await expect(webPlatform().openAdapter('auto')).rejects.toThrow(
        /no unrestricted_pointer_parameters.*Chrome 123/,
      );
    } finally {
      features.mockRestore();
    }
  });

  test('reads a file below its base address', async () => {
    const bytes = await webPlatform({ baseUrl: '/bench/models/tiny-moe/' }).readFile('config.json');
    expect(JSON.parse(new TextDecoder().decode(bytes))).toHaveProperty('model_type');
  });

  test('an unknown shader is refused, with the shaders that there are', () => {
    expect(() => webPlatform().shaderSource('no/such.wgsl')).toThrow(/no shader "no\/such.wgsl"/);
  });

  test('its clock runs forward in nanoseconds', async () => {
    const platform = webPlatform();
    const start = platform.now();
    await new Promise((done) => setTimeout(done, 20));
    const elapsed = platform.now() - start;
    expect(elapsed).toBeGreaterThan(15e6);
    expect(elapsed).toBeLessThan(5e9);
  });
});
