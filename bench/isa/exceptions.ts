/** Chosen kernels that may spill, by target: named, so that a new one is seen. Nothing is excepted on AMD and NVIDIA. */
export const EXCEPTIONS: Readonly<
  Record<string, readonly { readonly kernel: RegExp; readonly why: string }[]>
> = {};
