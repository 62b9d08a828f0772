import type { KernelKind } from '../../platform/platform.ts';

/** A kernel of ours with one fault worked into its text. */
export interface Saboteur {
  /** The fault, in words. */
  readonly name: string;
  /** Path of the shader below `shaders/`, without its ending: only the kernel that owns a shader names its file. */
  readonly shader: string;
  /** Part of the shader's text, found once, and what takes its place. */
  readonly find: string;
  readonly replace: string;
  /** The case that must catch it. */
  readonly family: string;
  readonly caseName: string;
  readonly variant: string;
  /** For which hardware kernels are chosen, where the variant's shader or the reach of the fault hangs on it. */
  readonly kernelKind?: KernelKind;
}
