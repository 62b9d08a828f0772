/** The end of a bench on one screen. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readResult } from '../../src/report/file/result-file.ts';
import type { StoredBenchResult } from '../../src/report/file/schema.ts';
import { verdictSentence } from '../../src/report/findings.ts';
import { renderSummary } from '../../src/report/terminal/bench/summary.ts';
import { styleFor } from '../../src/report/terminal/style.ts';
import { visible } from '../../src/report/terminal/table.ts';

const RESULT = readFileSync('test/report/result.json');
const stored = (change: (result: StoredBenchResult) => void = () => undefined): StoredBenchResult => {
  const result = readResult(RESULT, 'result.json');
  change(result);
  return result;
};

/** With what the command adds: a blank, and when it ended and where all samples are, in two lines. */
const MOST = 24 - 3;

const nasty = `\u001b[2J\u202e${'long '.repeat(200)}`;

describe('a summary', () => {
  test.each<[string, StoredBenchResult]>([
    ['of a run as it was', stored()],
    [
      'of long and hostile names',
      stored((result) => {
        result.adapter.facts.name = nasty;
        result.target.preset = nasty;
        for (const kernel of result.kernels) Object.assign(kernel, { name: nasty, family: nasty });
      }),
    ],
    [
      'of a run whose checks fail',
      stored((result) => {
        result.verdict.outcome = 'failed';
        for (const family of result.checks.kernels)
          Object.assign(family, { failed: 9, failures: [{ name: nasty, variant: nasty, message: nasty }] });
      }),
    ],
    [
      'of a run without times',
      stored((result) => {
        result.verdict.outcome = 'incomplete';
        for (const kernel of result.kernels) kernel.timing = { state: 'skipped', reason: nasty };
        Object.assign(result, { forward: null, rates: null, ceilings: [] });
      }),
    ],
  ])('%s fits 24 lines of 80 columns, plain and in colour', (_what, result) => {
    for (const colour of [false, true]) {
      const lines = renderSummary(result, styleFor(colour));
      expect(lines.length).toBeLessThanOrEqual(MOST);
      expect(lines.filter((line) => visible(line).length > 80)).toEqual([]);
      const text = visible(lines.join('\n'));
      expect(text).not.toMatch(/[\u001b\u202e]/);
      if (!colour) expect(lines.join('\n')).toBe(text);
    }
  });

  test('begins with what it amounts to', () => {
    expect(renderSummary(stored())[0]).toMatch(/^✓ PASS: 87 kernel runs, and 12 checks of the model pass;/);
    const failing = stored((result) => {
      result.verdict.outcome = 'failed';
      const [family] = result.checks.kernels;
      family?.failures.push({ name: 'a case', variant: 'tiled', message: 'element 3 is NaN' });
    });
    expect(renderSummary(failing)[0]).toMatch(
      /^✗ FAILED: gate-topk, a case, variant tiled: element 3 is NaN\./,
    );
    const incomplete = stored((result) => {
      result.verdict.outcome = 'incomplete';
      const [, timings] = result.verdict.judgements;
      Object.assign(timings ?? {}, { state: 'fail', text: '4 of 5 kernels measured; NOT MEASURED: 1' });
    });
    expect(renderSummary(incomplete)[0]).toMatch(/^… INCOMPLETE: 4 of 5 kernels measured; NOT MEASURED: 1\./);
  });

  test('what is open is told with its subject', () => {
    expect(verdictSentence(stored())).toMatch(
      / Open: all ranks take 4\.12 times .* not for 512; the target is not judged on a software adapter\.$/,
    );
  });

  test('says that software is no GPU, and that a machine was busy', () => {
    const text = renderSummary(stored()).join(' ');
    expect(text).toContain("No time here is a GPU's");
    expect(text).toMatch(/A busy machine: other processes took 9\d % of 2 cores/);
    const calm = stored(({ adapter, load }) => {
      adapter.facts.kind = 'gpu';
      Object.assign(load ?? {}, { othersShare: 0, stealShare: 0 });
    });
    expect(renderSummary(calm).join('\n')).not.toMatch(/busy|No time here/);
  });

  test('bars are as long as what can be won beside the most', () => {
    const result = stored(({ kernels }) => {
      kernels.splice(2);
      for (const [i, kernel] of kernels.entries()) {
        Object.assign(kernel, { family: 'op', name: `row ${i}`, chosen: true, variant: 'default' });
        Object.assign(kernel, { roof: { share: 0.5, binds: 'compute', attainableNs: 1 } });
        kernel.timing = { state: 'measured', clock: 'gpu', repeats: 1, samplesNs: [4e6 / (i + 1)] };
      }
    });
    const rows = renderSummary(result).filter((line) => line.includes('op: row'));
    expect(rows.map((row) => row.replace(/ +/g, ' '))).toEqual([
      ' op: row 0 2.00 ms ████████████ 50% of roof',
      ' op: row 1 1.00 ms ██████ 50% of roof',
    ]);
  });
});
