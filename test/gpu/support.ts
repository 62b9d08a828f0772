/** A device whose shaders are given in the test: any path of `sources` is read from there. */
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { testPlatform } from '../setup/gpu.ts';

export async function gpuWith(sources: Record<string, string>): Promise<Gpu> {
  const platform = testPlatform();
  return openGpu({
    name: platform.name,
    kernelKind: platform.kernelKind,
    openAdapter: (choice) => platform.openAdapter(choice),
    shaderSource: (path) => sources[path] ?? platform.shaderSource(path),
    shaderPaths: () => platform.shaderPaths(),
    readFile: (path) => platform.readFile(path),
    deviceClosed: () => platform.deviceClosed?.(),
    now: () => platform.now(),
  });
}
