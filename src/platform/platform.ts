/**
 * What Moebius asks of the machine it runs on. `node/` and `web/` implement it; everything else is the same in
 * both. The core imports this file only, never an implementation.
 */

/** How the adapter was found: a real GPU, a driver that runs on the CPU, or the one the npm package brings. */
export type AdapterKind = 'gpu' | 'software' | 'embedded-software';

/** `auto`, or part of an adapter's name: `llvmpipe`, `SwiftShader`, `NVIDIA`. */
export type AdapterChoice = string;

export interface AdapterFacts {
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly driver: string;
  readonly kind: AdapterKind;
  /** Every step of the search in order, each a sentence: what was tried, what came of it. */
  readonly search: readonly string[];
}

export interface OpenAdapter {
  /** Must stay referenced while any device of it lives: Dawn's bindings die in native code otherwise. */
  readonly gpu: GPU;
  readonly facts: AdapterFacts;
  /** A fresh adapter object, since one adapter object gives one device. */
  adapter(): Promise<GPUAdapter>;
}

export interface Platform {
  readonly name: 'node' | 'browser';
  /** @throws ConfigError when no adapter fits `choice`; the message lists what there is and how to get one. */
  openAdapter(choice: AdapterChoice): Promise<OpenAdapter>;
  /** Text of `shaders/<path>`. @throws ConfigError for an unknown path. */
  shaderSource(path: string): string;
  /** All shader paths below `shaders/`, sorted. */
  shaderPaths(): readonly string[];
  /** Bytes of a file of the bundled model or the user's. @throws ConfigError when it cannot be read. */
  readFile(path: string): Promise<Uint8Array>;
  /** Host clock in nanoseconds, monotonic. */
  now(): number;
}
