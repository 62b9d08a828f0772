/** What was thrown as an exit code and one sentence, and the small parts of the command line. */
import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { resultName } from '../../src/cli/verbs/bench.ts';
import { atLeast, integer } from '../../src/cli/options.ts';
import { commitHere, packageVersion } from '../../src/cli/package.ts';
import { wantsColour } from '../../src/cli/output.ts';
import { failureOf } from '../../src/cli/run.ts';
import type { BenchResult } from '../../src/bench/result.ts';
import { CheckError, ConfigError, InvariantError } from '../../src/core/errors.ts';
import { drawFacts, drawTable, wrapText } from '../../src/report/terminal/table.ts';

describe('failureOf', () => {
  test.each([
    [new ConfigError('ep is 3'), { code: 2, kind: 'usage', message: 'ep is 3.' }],
    [new CheckError('2 checks failed.'), { code: 1, kind: 'check', message: '2 checks failed.' }],
    [
      new CommanderError(1, 'commander.unknownCommand', "error: unknown command 'nop'\n(Did you mean op?)"),
      { code: 2, kind: 'usage', message: 'unknown command \'nop\' (Did you mean op?) See "moebius --help".' },
    ],
    [
      new InvariantError('sent 3, received 2'),
      {
        code: 70,
        kind: 'fault',
        message: 'unexpected: sent 3, received 2. Set MOEBIUS_DEBUG=1 to see where.',
      },
    ],
  ])('%s', (error, expected) => {
    expect(failureOf(error)).toEqual(expected);
  });

  test('showing help is no failure', () => {
    expect(failureOf(new CommanderError(0, 'commander.helpDisplayed', '(outputHelp)'))).toBeUndefined();
  });
});

describe('numbers as users type them', () => {
  test.each(['0', '-1', '1.5', '1e3', '', 'x', '99999999999999999999'])('integer(1) refuses "%s"', (text) => {
    expect(() => integer(1)(text)).toThrow('It must be a whole number, 1 or more.');
  });

  test.each(['-0.1', 'NaN', 'Infinity', '', 'x'])('atLeast(0) refuses "%s"', (text) => {
    expect(() => atLeast(0)(text)).toThrow('It must be a number, 0 or more.');
  });

  test('others pass', () => {
    expect([integer(1)('100'), integer(0, 5)('5'), atLeast(0)('0.8')]).toEqual([100, 5, 0.8]);
  });
});

describe('tables', () => {
  test('numbers to the right, no blanks at the ends', () => {
    expect(
      drawTable(
        [{ head: 'a' }, { head: 'n', align: 'right' }],
        [
          ['x', '5'],
          ['long', '1000'],
        ],
      ),
    ).toEqual(['  a        n', '  ----  ----', '  x        5', '  long  1000']);
  });

  describe('too wide', () => {
    const columns = [
      { head: 'kernel', least: 6 },
      { head: '' },
      { head: 'time', align: 'right' as const },
      { head: 'rate', align: 'right' as const, drop: 1 },
      { head: 'roof', align: 'right' as const, drop: 2 },
    ];
    const rows = [['a long name', '*', '1.23 ms', '20 GB/s', '12% c']];
    const row = (width: number): string | undefined => drawTable(columns, rows, width)[2];

    test('leave columns out, the least important first, before a name is cut', () => {
      expect(row(44)).toBe('  a long name  *  1.23 ms  20 GB/s  12% c');
      expect(row(40)).toBe('  a long name  *  1.23 ms  20 GB/s');
      expect(row(33)).toBe('  a long name  *  1.23 ms');
      expect(row(22)).toBe('  a long …  *  1.23 ms');
    });

    test('never lose a mark, nor a column without a rank', () => {
      expect(row(10)).toBe('  a lon…  *  1.23 ms');
    });

    test('every line fits where it can', () => {
      for (let width = 20; width < 60; width++) {
        expect(drawTable(columns, rows, width).filter((line) => line.length > width)).toEqual([]);
      }
    });
  });

  test('facts wrap under themselves', () => {
    const lines = drawFacts([['name', 'word '.repeat(30).trim()]]);
    expect(lines.every((line) => line.length <= 80)).toBe(true);
    expect(lines[1]).toMatch(/^ {8}word/);
  });

  test('a word longer than the line stands alone', () => {
    expect(wrapText('a bbbbbb c', 4)).toEqual(['a', 'bbbbbb', 'c']);
  });
});

test('colours only on a terminal', () => {
  expect(wantsColour({})).toBe(false);
  expect(wantsColour({ isTTY: true })).toBe(!process.env.NO_COLOR && process.env.TERM !== 'dumb');
});

test('a result file is named by time and adapter', () => {
  const result = {
    date: '2025-01-31T17:45:09.123Z',
    adapter: { facts: { name: 'llvmpipe (LLVM 15.0.6, 256 bits)' } },
  } as BenchResult;
  expect(resultName(result)).toBe('20250131-174509-llvmpipe-llvm-15.json');
});

test('the package knows its version and, in a checkout, its commit', () => {
  expect(packageVersion()).toMatch(/^\d+\.\d+\.\d+/);
  expect(commitHere() ?? 'no checkout').toMatch(/^[0-9a-f]{40}(\+changes)?$|^no checkout$/);
});
