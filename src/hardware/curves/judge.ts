/** How far the curves are off at shapes that they were not given. */
import { fitOf, measuredGroups, newField, placeOf } from './families.ts';
import { formulaUs, hardwareOf, ResidualField, type Family, type LeftOut, type Row } from './family.ts';
import { fittedParameters } from './fitted.ts';

/** Each block of a group left out in turn, with its kin's rows of that name. @param blockOf names the rows that go together. */
export function leaveOut(
  family: Family,
  group: string,
  parameters: readonly number[],
  rows: readonly Row[],
  blockOf?: (row: Row) => string,
): LeftOut[] {
  const nameOf = blockOf ?? (({ key }: Row) => family.block(key));
  const field = newField(family, group, parameters, rows);
  const blocks = new Map<string, number[]>();
  field.rows.forEach((row, i) => {
    const name = nameOf(row);
    const block = blocks.get(name);
    if (block === undefined) blocks.set(name, [i]);
    else block.push(i);
  });
  const own = new Set(rows);
  return [...blocks]
    .filter(([, block]) => block.some((i) => i < rows.length))
    .flatMap(([name, block]) => {
      const refitted = blockOf === undefined && family.refitted?.(group) === true;
      const judged = refitted ? fieldWithout(family, group, rows, name) : field;
      return judged.leftOut(block).filter(({ row }) => own.has(row));
    });
}

/** Of rows, what was fitted to them without a block: whoever has other rows of the group fits them anew. */
const blind = new WeakMap<readonly Row[], Map<string, readonly number[]>>();

/** As `newField`, by parameters of every group that have not seen the rows of a block. */
function fieldWithout(family: Family, group: string, rows: readonly Row[], block: string): ResidualField {
  const fitWithout = (name: string, all: readonly Row[]): readonly number[] | undefined => {
    const rest = all.filter(({ key }) => family.block(key) !== block);
    if (rest.length === all.length) return fitOf(family, name)?.parameters;
    if (rest.length === 0) return undefined;
    const label = `${family.name} ${name} without ${block}`;
    const known = blind.get(all) ?? new Map<string, readonly number[]>();
    const parameters = known.get(label) ?? fittedParameters(family, name, rest);
    blind.set(all, known.set(label, parameters));
    return parameters;
  };
  const kin = (name: string): readonly number[] | undefined =>
    fitWithout(name, measuredGroups(family).get(name) ?? []);
  return newField(family, group, fitWithout(group, rows) ?? family.start, rows, kin);
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
  const hardware = hardwareOf(group);
  return rows.flatMap((row) =>
    row.cells.slice(0, -1).flatMap((cell, i) => {
      if (i % 2 === 0) return [];
      const { left, deviation } = field.at(placeOf(family, group, row.features), cell.size);
      const formula = Math.log(formulaUs(family.terms(cell.query, hardware), parameters));
      return [{ row, cell, error: cell.logUs - formula - left, deviation }];
    }),
  );
}
