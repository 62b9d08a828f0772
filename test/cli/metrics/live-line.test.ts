/** A line that is rewritten below text: what a terminal shows of it. */
import { expect, test } from 'vitest';
import { liveLine } from '../../../src/cli/metrics/live-line.ts';
import { range } from '../../../src/core/math.ts';
import { expertLoadLine, loadBars } from '../../../src/report/terminal/routing/expert-load.ts';
import { ExpertCounter } from '../../../src/runtime/expert-load.ts';

/** As much of a terminal as a live line asks for; what it does not know is an error. */
class Screen {
  #cells: string[][];
  #row = 0;
  #column = 0;
  #saved: [number, number] = [0, 0];

  readonly rows: number;
  readonly columns: number;

  constructor(rows: number, columns: number) {
    [this.rows, this.columns] = [rows, columns];
    this.#cells = range(rows).map(() => []);
  }

  get lines(): string[] {
    return this.#cells.map((row) =>
      [...row]
        .map((cell) => cell ?? ' ')
        .join('')
        .trimEnd(),
    );
  }

  #down(): void {
    if (this.#row < this.rows - 1) this.#row += 1;
    else this.#cells = [...this.#cells.slice(1), []];
  }

  write = (text: string): void => {
    for (const part of text.match(/\x1b(?:\[\d*[A-Z]|[78D])|[^\x1b]/gu) ?? []) {
      if (part === '\n') {
        this.#down();
        this.#column = 0;
      } else if (part === '\r') this.#column = 0;
      else if (part === '\x1bD') this.#down();
      else if (part === '\x1b[A') this.#row -= 1;
      else if (part === '\x1b7') this.#saved = [this.#row, this.#column];
      else if (part === '\x1b8') [this.#row, this.#column] = this.#saved;
      else if (part === '\x1b[2K') this.#cells[this.#row] = [];
      else if (part === '\x1b[J') {
        this.#cells[this.#row]?.splice(this.#column);
        this.#cells = this.#cells.map((row, i) => (i > this.#row ? [] : row));
      } else if (part.startsWith('\x1b')) throw new Error(`the screen does not know ${JSON.stringify(part)}`);
      else {
        if (this.#column === this.columns) {
          this.#down();
          this.#column = 0;
        }
        (this.#cells[this.#row] ??= [])[this.#column] = part;
        this.#column += 1;
      }
    }
  };
}

test.each([
  ['in the middle of the screen', 8],
  ['at its end, where all scrolls', 3],
])('text goes on where it was, the line stands below: %s', (_where, rows) => {
  const screen = new Screen(rows, 10);
  const live = liveLine(screen.write, screen.columns, true);
  const text = 'To be, or not to be:\nthat is the question';
  range(text.length).forEach((i) => {
    live.text(text.slice(i, i + 1));
    screen.write(text.slice(i, i + 1));
    live.show(`load ${i} and much more`);
  });
  const wanted = ['To be, or', 'not to be:', 'that is th', 'e question'];
  live.end();
  const shown = screen.lines.filter((line) => line !== '');
  expect(shown).toEqual(wanted.slice(1 - rows));
  live.text('!');
  screen.write('!');
  live.show('load 40 and much more');
  expect(screen.lines.filter((line) => line !== '').slice(-2)).toEqual(['!', 'load 40 a']);
  live.end();
  expect(screen.lines.filter((line) => line !== '').at(-1)).toBe('!');
});

test('alone it is rewritten in place', () => {
  const screen = new Screen(2, 20);
  const live = liveLine(screen.write, screen.columns, false);
  live.show('first and longer');
  live.show('second');
  expect(screen.lines).toEqual(['second', '']);
  live.end();
  expect(screen.lines).toEqual(['', '']);
});

test('bars of experts, and of the most uneven layer in one line', () => {
  expect(loadBars([0, 4, 8], 8)).toBe('▁▅█');
  expect(loadBars([0, 4, 8, 2], 2)).toBe('▅█');
  expect(loadBars([0, 0], 8)).toBe('▁▁');
  const counter = new ExpertCounter({ numLayers: 3, numExperts: 4, topK: 2 });
  expect(expertLoadLine(counter, 80)).toBeUndefined();
  // The last layer has no experts.
  counter.add({ experts: [[Uint32Array.of(0, 1, 2, 3), Uint32Array.of(0, 1, 0, 2), new Uint32Array()]] });
  counter.add({});
  expect(counter.count_LE).toEqual([
    [1, 1, 1, 1],
    [2, 1, 1, 0],
    [0, 0, 0, 0],
  ]);
  expect(expertLoadLine(counter, 80)).toBe('experts █▅▅▁ layer 1: #0 has 2.00 x mean, 2 tokens');
});
