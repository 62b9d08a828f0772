/** Switches of the tests that a fault may need to show. */

/** Kernels as for a GPU, where a workgroup is more than a subgroup and barriers matter, on an adapter that is always there. */
export const AS_ON_A_GPU = { env: { MOEBIUS_KIND: 'gpu', MOEBIUS_ADAPTER: 'swiftshader' } } as const;
