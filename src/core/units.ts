/** SI prefixes and the way numbers are shown to people. */

export const NS_PER_US = 1e3;
export const NS_PER_MS = 1e6;
export const NS_PER_S = 1e9;

/** Three significant digits without an exponent: 0.0123, 1.23, 12.3, 123, 1234. NaN and infinities by name. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return '0';
  const magnitude = Math.floor(Math.log10(Math.abs(value)));
  if (magnitude < -6) return value.toExponential(2);
  return value.toFixed(Math.max(0, 2 - magnitude));
}

/** A duration: 850 ns, 12.3 us, 4.56 ms, 1.20 s. */
export function formatNs(ns: number): string {
  const size = Math.abs(ns);
  if (size < 1e3) return `${formatNumber(ns)} ns`;
  if (size < 1e6) return `${formatNumber(ns / 1e3)} us`;
  if (size < NS_PER_S) return `${formatNumber(ns / NS_PER_MS)} ms`;
  return `${formatNumber(ns / NS_PER_S)} s`;
}

const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P', 'E'] as const;

/** A quantity with an SI prefix: formatSi(6.1e13, 'FLOP/s') = '61.0 TFLOP/s'. */
export function formatSi(value: number, unit: string): string {
  if (!Number.isFinite(value)) return `${value} ${unit}`;
  const size = Math.abs(value);
  const step = size < 1 ? 0 : Math.min(PREFIXES.length - 1, Math.floor(Math.log10(size) / 3));
  return `${formatNumber(value / 10 ** (3 * step))} ${PREFIXES[step] ?? ''}${unit}`;
}

/** A share of 1: 12.3 %. What is left over of 0 has no sign. */
export function formatPercent(share: number): string {
  return `${(100 * share).toFixed(1).replace(/^-(0\.0)$/, '$1')} %`;
}

/** A share of 1 as a whole number, where a decimal would pretend: 12 %; what is more than nothing and rounds to it is <1 %. */
export function roundPercent(share: number, unit = ' %'): string {
  return share > 0 && share < 0.005 ? `<1${unit}` : `${Math.round(100 * share)}${unit}`;
}

/** A share of 1 in a narrow column: 12%, 1.2%. */
export function shortPercent(share: number): string {
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}%`;
}

/** Bytes with binary prefixes, as buffer limits are given: 128 MiB. */
export function formatBytes(bytes: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;
  const step = bytes < 1 ? 0 : Math.min(names.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${formatNumber(bytes / 2 ** (10 * step))} ${names[step] ?? 'B'}`;
}
