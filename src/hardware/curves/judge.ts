/** How far the curves are off at shapes that they were not given. */
import { newField } from './families.ts';
import type { Cell, Family, Row } from './family.ts';

/** One cell, predicted by the other blocks of its group. */
export interface Judged {
  readonly group: string;
  readonly row: Row;
  readonly cell: Cell;
  /** log(measured / predicted). */
  readonly error: number;
  readonly deviation: number;
}

/** Each block of a group left out in turn. @param blockOf names the rows that go together. */
export function leaveOut(
  family: Family,
  group: string,
  parameters: readonly number[],
  rows: readonly Row[],
  blockOf: (row: Row) => string = ({ key }) => family.block(key),
): Judged[] {
  const field = newField(family, group, parameters, rows);
  const blocks = new Map<string, number[]>();
  rows.forEach((row, i) => blocks.set(blockOf(row), [...(blocks.get(blockOf(row)) ?? []), i]));
  return [...blocks.values()].flatMap((block) =>
    field.leftOut(block).map(({ cell, error, deviation }) => {
      const row = rows.find(({ cells }) => cells.includes(cell)) as Row;
      return { group, row, cell, error, deviation };
    }),
  );
}
