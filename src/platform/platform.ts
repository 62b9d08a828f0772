/**
 * What Moebius asks of the machine it runs on. `node/` and `web/` implement it; everything else is the same in
 * both. The core imports this file only, never an implementation.
 */

/**
 * What the adapter is: a real GPU, a driver that runs on the CPU, the one the npm package brings, or `unknown` where it
 * says nothing of itself, as browsers may have it: it may be either, so it is never judged as a GPU.
 */
export type AdapterKind = 'gpu' | 'software' | 'embedded-software' | 'unknown';

/** For which of two kinds of hardware kernels and what is compiled into them are chosen; both run everywhere. */
export type KernelKind = 'gpu' | 'software';

/** `auto`, or part of an adapter's name: `llvmpipe`, `SwiftShader`, `NVIDIA`. */
export type AdapterChoice = string;

/** What an adapter says of itself, and how it was found. */
export interface AdapterFacts {
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly driver: string;
  readonly kind: AdapterKind;
  /** For which kind kernels are chosen, where another than the adapter's own was asked for. */
  readonly kernels?: KernelKind | undefined;
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

/** A file of which parts are read: one of gigabytes is never in memory as a whole. */
export interface ByteFile {
  readonly size: number;
  /** Bytes [begin, end); fewer only when the file has become shorter. */
  read(begin: number, end: number): Promise<Uint8Array>;
  /** Bytes from `begin` on into memory of the caller's, which stays his; tells how many there were. Absent in a page. */
  readInto?(begin: number, into: Uint8Array): Promise<number>;
  /** All of it, where it lies in memory anyway. */
  readonly whole?: Uint8Array;
  close(): Promise<void>;
}

/** The machine as Moebius needs it: adapters, shaders, files and a clock. `nodePlatform` and `webPlatform` make one. */
export interface Platform {
  readonly name: 'node' | 'browser';
  /** Kernels are chosen as for this kind, whatever the adapter is; by default as the adapter is. Read at each opening. */
  readonly kernelKind?: KernelKind | undefined;
  /** @throws ConfigError when no adapter fits `choice`; the message lists what there is and how to get one. */
  openAdapter(choice: AdapterChoice): Promise<OpenAdapter>;
  /** Text of `shaders/<path>`. @throws ConfigError for an unknown path. */
  shaderSource(path: string): string;
  /** All shader paths below `shaders/`, sorted. */
  shaderPaths(): readonly string[];
  /**
   * Bytes of a file of the bundled model or the user's.
   * @param mostBytes that it may have. @throws ConfigError when it cannot be read, has no end, or is longer.
   */
  readFile(path: string, mostBytes?: number): Promise<Uint8Array>;
  /** Opens a file to read parts of it. @throws AbsentFileError when there is none, ConfigError when it cannot be read. */
  openFile?(path: string): Promise<ByteFile>;
  /** Told of each wait for a device, so that the host may rest until it ends. */
  whileWaiting?(work: Promise<unknown>): void;
  /** Told of each device that was closed, so that what it leaves behind can be freed. */
  deviceClosed?(): void;
  /** Of the machine, for results: `{ browser: 'Chrome/147.0.0.0' }`. */
  versions?(): Readonly<Record<string, string>>;
  /** Host clock in nanoseconds, monotonic. */
  now(): number;
  /** Bytes of memory that are free, which adapters on the CPU take theirs from; absent where a page may not know. */
  freeMemory?(): number;
  /** What the cores have done so far; absent where a page may not know. */
  cpuTimes?(): CpuTimes | undefined;
}

/** Time of all cores since some beginning, ns. */
export interface CpuTimes {
  readonly cores: number;
  readonly totalNs: number;
  /** Of all processes, this one's included. */
  readonly busyNs: number;
  /** Of this process. */
  readonly ownNs: number;
  /** What other virtual machines took; undefined where the system does not tell. */
  readonly stealNs: number | undefined;
  /** Processes that ran or waited to run, on average over 1, 5 and 15 minutes; undefined where the system does not tell. */
  readonly loadAverage: readonly [number, number, number] | undefined;
}
