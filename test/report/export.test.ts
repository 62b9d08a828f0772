/** Result files as tables, and what is said of files that are none. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { csvParse } from 'd3-dsv';
import { describe, expect, test } from 'vitest';
import { exportRows } from '../../src/cli/verbs/export.ts';
import { csvOf, markdownOf } from '../../src/report/file/export.ts';
import type { TableRow } from '../../src/report/file/rows.ts';
import type { StoredBenchResult } from '../../src/report/file/schema.ts';
import { moebius, scratchFolder } from '../cli/spawn.ts';

const RESULT = 'test/report/result.json';

test('CSV has every kernel, ceiling, pass and host task of a result, with the numbers of its samples', async () => {
  const result = JSON.parse(await readFile(RESULT, 'utf8')) as StoredBenchResult;
  const rows = csvParse(csvOf(await exportRows({ files: [RESULT] })));
  expect(rows).toHaveLength(result.kernels.length + result.ceilings.length + 2 + result.host.length);
  const [kernel] = result.kernels;
  const samples = kernel?.timing.state === 'measured' ? kernel.timing.samplesNs : [];
  expect(rows[0]).toMatchObject({ part: 'kernel', name: kernel?.name, unit: 'ns', kind: 'software' });
  expect(Number(rows[0]?.min)).toBe(Math.min(...samples));
  expect(Number(rows[0]?.samples)).toBe(samples.length);
});

test.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', ' =1', '\n=1'])(
  'CSV: %j is no formula',
  (name) => {
    const [row] = csvParse(csvOf([{ part: 'kernel', name, median: -1.5 }]));
    expect(row?.name).toMatch(/^'/);
    expect(row?.median).toBe('-1.5');
  },
);

test('CSV: quotes, commas and control characters stay in their cell', () => {
  const [row, ...more] = csvParse(csvOf([{ name: 'a,"b"\n\u001b[2J', family: 'c' }]));
  expect(more).toEqual([]);
  expect(row).toMatchObject({ name: 'a,"b"\\n\\x1b[2J', family: 'c' });
});

test('Markdown: what a name holds is text, and a cell stays one', () => {
  const row: TableRow = {
    ...{ file: 'a', adapter: '# *x*', kind: 'software', part: 'kernel' },
    name: 'a|b\n<script>x</script> [c](javascript:1) `d`',
  };
  const lines = markdownOf([row]).trimEnd().split('\n');
  expect(lines[0]).toBe('## \\# \\*x\\*');
  expect(lines[2]).toContain("No time here is a GPU's");
  expect(lines.at(-1)).toBe(
    '| kernel | a\\|b\\\\n&lt;script&gt;x&lt;/script&gt; \\[c\\](javascript:1) \\`d\\` |',
  );
});

describe('files that are no results', () => {
  const bad: readonly (readonly [what: string, change: (text: string) => string, message: RegExp])[] = [
    ['truncated', (text) => text.slice(0, 2000), /result\.json is not valid JSON/],
    ['of a newer schema', (text) => text.replace('"version": 2', '"version": 99'), /version/],
    ['with NaN', (text) => text.replace(/"wallNs": \d+/, '"wallNs": NaN'), /result\.json is not valid JSON/],
    ['with a negative time', (text) => text.replace(/"wallNs": /, '"wallNs": -'), /wallNs/],
    ['without samples', (text) => text.replace(/"samplesNs": \[[^\]]*\]/, '"samplesNs": []'), /samplesNs/],
    ['of something else', () => '{}', /schema/],
  ];
  test.each(bad)('%s: one message, exit 2, and what was there stays', async (_what, change, message) => {
    const path = join(await scratchFolder(), 'result.json');
    await writeFile(path, change(await readFile(RESULT, 'utf8')));
    const out = join(dirname(path), 'out');
    await writeFile(out, 'mine');
    for (const verb of ['report', 'export']) {
      const { code, stderr, stdout } = await moebius(verb, path, '--out', out);
      expect({ verb, code, stdout }).toEqual({ verb, code: 2, stdout: '' });
      expect(stderr).toMatch(message);
      expect(stderr.trim().split('\n')).toHaveLength(1);
    }
    expect(await readFile(out, 'utf8')).toBe('mine');
    expect((await readdir(dirname(path))).sort()).toEqual(['out', 'result.json']);
  });

  test('the result itself is never overwritten, and a place that cannot be written is told first', async () => {
    const path = join(await scratchFolder(), 'result.json');
    const text = await readFile(RESULT, 'utf8');
    await writeFile(path, text);
    for (const verb of ['report', 'export']) {
      expect((await moebius(verb, path, '--out', path)).stderr).toMatch(/is the input/);
      expect((await moebius(verb, path, '--out', join(path, 'a'))).code).toBe(2);
    }
    expect(await readFile(path, 'utf8')).toBe(text);
  });
});
