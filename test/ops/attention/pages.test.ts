/** Which pages a table may name: 0 to N - 1, as many as the keys of a sequence need, the last one included. */
import { expect, test } from 'vitest';
import { pagesOf } from '../../../src/ops/attention/pages.ts';
import { tensor } from '../../../src/tensor/tensor.ts';

/** Tables of one sequence with two pages of 4 keys, out of 3 pages, and 2 queries. */
const pages = (table: number[], length: number) =>
  pagesOf(
    'paged-attention',
    tensor('i32', [1, 2], Int32Array.from(table)),
    tensor('i32', [1], Int32Array.of(length)),
    { numPages: 3, pageSize: 4, perSequence: 2, numQueries: 2 },
  );

test.each([
  ['the last page', [0, 2], 8, [0, 2]],
  ['a page for one key', [1, 2], 5, [1, 2]],
  ['what is behind the last key is not looked at, and becomes 0', [1, -1], 4, [1, 0]],
  ['as many keys as queries', [2, 99], 2, [2, 0]],
])('page: %s', (_what, table, length, want) => {
  expect([...pages(table, length).table]).toEqual(want);
});

test.each([
  ['page 3 of 3', [3, 0], 8, /block_table\[0, 0\] is 3, outside of the 3 pages/],
  ['page 3 of 3 for the last key', [0, 3], 5, /block_table\[0, 1\] is 3/],
  ['a page below 0', [0, -1], 5, /block_table\[0, 1\] is -1/],
  ['a key more than the pages hold', [0, 1], 9, /kv_lengths\[0\] is 9.* hold 8/],
  ['a key less than queries', [0, 1], 1, /kv_lengths\[0\] is 1, but the 2 queries/],
])('refuses %s', (_what, table, length, message) => {
  expect(() => pages(table, length)).toThrow(message);
});
