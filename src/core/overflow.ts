/**
 * Overflow policies that a kernel and an engine have, in the order of the kernel's numbers: no row waits there for the next
 * micro-batch. What each does stands in src/routing.
 */
export const DEVICE_POLICIES = ['dropless', 'drop-position', 'drop-score', 'next-best', 'spill'] as const;
export type DevicePolicy = (typeof DEVICE_POLICIES)[number];
