/** The result of `bench:isa` for people. */
import { drawTable, paragraph } from '../../src/report/terminal/table.ts';
import { faultsOf, type KernelRow, type TargetResult } from './compile.ts';
import type { Goal } from './goals.ts';

const percent = (share: number | undefined): string => (share === undefined ? '-' : (100 * share).toFixed(0));
const count = (value: number | undefined): string => (value === undefined ? '-' : String(value));

function spilled({ measured, spills }: KernelRow): string {
  if (measured === undefined) return 'failed';
  return spills ? `${measured.spills} / ${measured.scratchBytes} B` : '-';
}

/** Characters of a name on one line. */
const NAME_WIDTH = 30;

/** A name in lines, cut behind its commas. */
function nameLines(name: string): string[] {
  const lines = [''];
  for (const part of name.split(/(?<=,)/)) {
    const last = lines.length - 1;
    const line = lines[last] ?? '';
    if (line !== '' && line.length + part.length > NAME_WIDTH) lines.push(part);
    else lines[last] = line + part;
  }
  return lines;
}

/** A kernel, on more lines where its name is long. */
function rowsOf(row: KernelRow, matrices: boolean): string[][] {
  const [first = '', ...more] = nameLines(row.kernel);
  const figures = [
    count(row.measured?.registers),
    count(row.measured?.occupancy),
    spilled(row),
    percent(row.modelled?.share),
    percent(row.modelled?.alone),
    count(row.measured?.inverseThroughput),
    ...(matrices ? [count(row.matrices?.turn ?? row.matrices?.emitted)] : []),
  ];
  return [
    [`${row.chosen ? '*' : ' '} ${first}`, ...figures],
    ...more.map((line) => [`    ${line}`, ...figures.map(() => '')]),
  ];
}

function ofTarget({ target, gpu, driver, matrixUnits, kernels }: TargetResult, all: boolean): string[] {
  const shown = kernels.filter(({ chosen }) => all || chosen);
  const matrices = shown.some((row) => row.matrices !== undefined);
  const heads = [
    ...['kernel', 'regs', 'waves', 'spills', 'share', 'alone', 'cycles'],
    ...(matrices ? ['matrix'] : []),
  ];
  return [
    '',
    `  ${target}: ${gpu}, ${driver}`,
    ...paragraph(`Matrix units: ${matrixUnits.join('; ') || 'none are listed'}.`),
    ...drawTable(
      heads.map((head, i) => (i === 0 ? { head } : { head, align: 'right' as const })),
      shown.flatMap((row) => rowsOf(row, matrices)),
    ),
  ];
}

/** A table per target, and one of all targets. */
export function resultLines(results: readonly TargetResult[], all: boolean): string[] {
  const summary = results.map((result) => {
    const chosen = result.kernels.filter((kernel) => kernel.chosen);
    const excepted = chosen.filter(({ spills, excepted }) => spills && excepted !== undefined);
    const others = result.kernels.filter((kernel) => !kernel.chosen && kernel.spills);
    return [
      result.target,
      ...[result.kernels.length, chosen.length, faultsOf(result).length, excepted.length, others.length].map(
        String,
      ),
    ];
  });
  const heads = ['target', 'kernels', 'chosen', 'of them spill', 'excepted', 'others that spill'];
  return [
    ...results.flatMap((result) => ofTarget(result, all)),
    '',
    ...drawTable(
      heads.map((head, i) => ({ head, align: i === 0 ? ('left' as const) : ('right' as const) })),
      summary,
    ),
    ...paragraph(
      'Chosen kernels (*) are what the registry takes without being asked. Registers, waves and spills are the ' +
        "compiler's; share (percent of the f32 peak, waits hidden by other waves) and alone (one wave) are modelled from " +
        'its text; cycles are the inverse throughput that AMD’s compiler estimates; matrix counts instructions of matrix units in a ' +
        'turn of the loop, of the whole text where its loops are not read.',
    ),
  ];
}

const foundOf = ({ found, unit }: Goal): string =>
  found === undefined ? 'not compiled' : unit === '%' ? found.toFixed(1) : String(found);

/** What chosen kernels must come to, and the worst of them; nothing where a part of the kernels was compiled. */
export function goalLines(goals: readonly Goal[]): string[] {
  if (goals.length === 0) return [];
  const heads = ['goal', 'target', 'limit', 'worst', 'met'];
  return [
    '',
    ...drawTable(
      heads.map((head, i) => ({ head, align: i === 3 ? ('right' as const) : ('left' as const) })),
      goals.map((goal) => [
        `${goal.what}${goal.unit === 'kernels' ? '' : `, ${goal.unit}`}`,
        ...[goal.target, goal.limit, foundOf(goal), goal.met ? 'yes' : 'NO'],
      ]),
    ),
  ];
}

export function goalText(goal: Goal): string {
  const { target, what, limit, kernel } = goal;
  return `${target}, ${what}: ${foundOf(goal)}, ${limit}${kernel === undefined ? '' : ` (${kernel})`}`;
}
