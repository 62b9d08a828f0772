/** How far the curves are off at shapes that they were not given. */
import { newField } from './families.ts';
import type { Family, LeftOut, Row } from './family.ts';

/** Each block of a group left out in turn, with its kin's rows of that name. @param blockOf names the rows that go together. */
export function leaveOut(
  family: Family,
  group: string,
  parameters: readonly number[],
  rows: readonly Row[],
  blockOf: (row: Row) => string = ({ key }) => family.block(key),
): LeftOut[] {
  const field = newField(family, group, parameters, rows);
  const blocks = new Map<string, number[]>();
  field.rows.forEach((row, i) => {
    const name = blockOf(row);
    const block = blocks.get(name);
    if (block === undefined) blocks.set(name, [i]);
    else block.push(i);
  });
  const own = new Set(rows);
  return [...blocks.values()]
    .filter((block) => block.some((i) => i < rows.length))
    .flatMap((block) => field.leftOut(block).filter(({ row }) => own.has(row)));
}
