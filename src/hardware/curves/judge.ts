/** How far the curves are off at shapes that they were not given. */
import { newField, placeOf } from './families.ts';
import { formulaUs, type Family, type LeftOut, type Row } from './family.ts';
import { hardwareNamed } from '../profiles/named.ts';

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

/** Every other size of each row of a group left out, all at once: between its neighbours. */
export function leaveSizes(
  family: Family,
  group: string,
  parameters: readonly number[],
  rows: readonly Row[],
): LeftOut[] {
  const kept = rows.map((row) => ({ ...row, cells: row.cells.filter((_, i) => i % 2 === 0) }));
  const field = newField(family, group, parameters, kept);
  const hardware = hardwareNamed(group.split(' ', 1).join(''));
  return rows.flatMap((row) =>
    row.cells.slice(0, -1).flatMap((cell, i) => {
      if (i % 2 === 0) return [];
      const { left, deviation } = field.at(placeOf(family, group, row.features), cell.size);
      const formula = Math.log(formulaUs(family.terms(cell.query, hardware), parameters));
      return [{ row, cell, error: cell.logUs - formula - left, deviation }];
    }),
  );
}
