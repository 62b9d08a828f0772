/** Numbers as people read them: the unit beside a number must be its own. */
import { expect, test } from 'vitest';
import {
  formatBytes,
  formatNs,
  formatNumber,
  formatPercent,
  formatSi,
  roundPercent,
  shortPercent,
} from '../../src/core/units.ts';

test('three significant digits, without an exponent', () => {
  expect([0, 0.0123, 1, 1.234, 12.34, 123.4, 1234.5, -0.5].map(formatNumber)).toEqual([
    ...['0', '0.0123', '1.00', '1.23', '12.3', '123', '1235', '-0.500'],
  ]);
  expect([NaN, Infinity, -Infinity, 1.5e-9].map(formatNumber)).toEqual([
    'NaN',
    'Infinity',
    '-Infinity',
    '1.50e-9',
  ]);
});

test('durations: ns, us, ms and s, each from 1 to 1,000 of its own', () => {
  expect([1, 999, 1e3, 12_345, 999_000, 1e6, 4.56e6, 1e9, 1.2e9, 90e9].map(formatNs)).toEqual([
    ...['1.00 ns', '999 ns', '1.00 us', '12.3 us', '999 us'],
    ...['1.00 ms', '4.56 ms', '1.00 s', '1.20 s', '90.0 s'],
  ]);
  expect(formatNs(-2500)).toBe('-2.50 us');
});

test('SI prefixes are powers of 1,000', () => {
  const values = [0.5, 1, 999, 1e3, 40e3, 1e6, 7.9e9, 6.1e13, 2e15, 3e18, 4e21];
  expect(values.map((value) => formatSi(value, 'B/s'))).toEqual([
    ...['0.500 B/s', '1.00 B/s', '999 B/s', '1.00 kB/s', '40.0 kB/s', '1.00 MB/s'],
    ...['7.90 GB/s', '61.0 TB/s', '2.00 PB/s', '3.00 EB/s', '4000 EB/s'],
  ]);
  expect(formatSi(NaN, 'FLOP/s')).toBe('NaN FLOP/s');
});

test('percentages: with a decimal, whole, and in a narrow column', () => {
  const shares = [0, -1e-9, 0.001, 0.0123, 0.0994, 0.0996, 0.5, 1, 1.25];
  expect(shares.map(formatPercent)).toEqual([
    ...['0.0 %', '0.0 %', '0.1 %', '1.2 %', '9.9 %', '10.0 %', '50.0 %', '100.0 %', '125.0 %'],
  ]);
  expect(formatPercent(-0.25)).toBe('-25.0 %');
  expect([0, 0.001, 0.0123, 0.5, 1.25].map((share) => roundPercent(share))).toEqual([
    ...['0 %', '<1 %', '1 %', '50 %', '125 %'],
  ]);
  expect([0.001, 0.12].map((share) => roundPercent(share, '%'))).toEqual(['<1%', '12%']);
  expect([0, 0.0123, 0.0994, 0.0996, 1].map(shortPercent)).toEqual(['0.0%', '1.2%', '9.9%', '10%', '100%']);
});

test('bytes have binary prefixes', () => {
  expect([0, 1, 1023, 1024, 128 * 2 ** 20, 3 * 2 ** 30, 2 ** 42].map(formatBytes)).toEqual([
    ...['0 B', '1.00 B', '1023 B', '1.00 KiB', '128 MiB', '3.00 GiB', '4.00 TiB'],
  ]);
});
