/** A checkpoint that was checked, told to a person: a line per layer, then what the text comes to. */
import { plural } from '../../../layout/text.ts';
import {
  type CheckpointCheck,
  choicesOf,
  type LayerCheck,
  type LayerRow,
} from '../../../validate/checkpoint/check-checkpoint.ts';
import type { AdapterFacts } from '../../../platform/platform.ts';
import type { Choices } from '../../../validate/checkpoint/compare-rows.ts';
import { PLAIN, type Style } from '../style.ts';
import { type Column, drawFacts, drawTable, paragraph } from '../table.ts';

/** What `check` found, with what it was asked. */
export interface CheckpointFindings extends CheckpointCheck {
  readonly model: string;
  readonly family: string;
  readonly layout: string;
  readonly worldSize: number;
  readonly weights: string;
  readonly adapter: AdapterFacts;
  readonly tolerance: number;
  readonly referenceTolerance: number;
  readonly failures: readonly string[];
}

export function renderCheckpoint(found: CheckpointFindings, style: Style = PLAIN): string[] {
  const { layers } = found;
  const { oneRank, float64, layout } = found.ends;
  const withFile = layers.some(({ reference }) => reference !== undefined);
  const two = !('refused' in oneRank) && found.worldSize > 1;
  const columns: Column[] = [
    { head: 'layer', align: 'right' },
    ...(two ? one('one rank') : []),
    ...one(found.worldSize > 1 ? 'layout' : 'one rank'),
    { head: 'choices', align: 'right' },
    ...(withFile ? [{ head: 'file: f64', align: 'right' } as const] : []),
    ...(withFile ? [{ head: 'device', align: 'right' } as const] : []),
  ];
  const cells = (row: LayerRow): string[] => [
    String(row.layer),
    ...(two ? errorsOf(row.oneRank) : []),
    ...errorsOf(row.layout),
    choicesText(row.routed ? row.layout.choices : undefined),
    ...(withFile ? [number(row.reference?.float64), number(row.reference?.device)] : []),
  ];
  const facts: (readonly [string, string])[] = [
    ['logits', endText(found)],
    ['choices', allChoices(layers)],
    [
      'perplexity',
      `${figure(float64.perplexity)} in float64, ` +
        `${'refused' in oneRank ? '' : `${figure(oneRank.perplexity)} on one rank, `}` +
        `${found.worldSize > 1 ? `${figure(layout.perplexity)} on ${found.layout}` : ''}`,
    ],
  ];
  const { logits } = found.reference ?? {};
  if (logits !== undefined) facts.push(['logits / file', `${number(logits)}, float64 beside the file`]);
  const head = `${found.model} (${found.family}): ${plural(layers.length, 'layer')}, ${plural(found.tokens, 'token')}, weights ${found.weights}, on ${found.adapter.name}`;
  return [
    ...paragraph(head, '').map(style.bold),
    ...paragraph(
      'Worst error beside float64 in parts of the largest value of its row: of each layer alone, and of all up to it.',
      '',
    ),
    '',
    ...drawTable(columns, layers.map(cells), style.width),
    '',
    ...drawFacts(facts.map(([name, text]) => [name, text.replace(/, $/, '')])),
    ...('refused' in oneRank ? ['', ...paragraph(`One rank alone: ${oneRank.refused}`, '')] : []),
    '',
    ...verdict(found, style),
  ];
}

function verdict({ failures, tolerance }: CheckpointFindings, style: Style): string[] {
  if (failures.length === 0) return [style.good(`passes: everything within ${tolerance}`)];
  return failures.slice(0, MOST_FAILURES).flatMap((text) => paragraph(style.bad(`fails: ${text}`), ''));
}

/** Lines that are read. A guess. */
const MOST_FAILURES = 12;

function one(name: string): Column[] {
  return [
    { head: name, align: 'right' },
    { head: 'up to it', align: 'right' },
  ];
}

function errorsOf(check: LayerCheck | undefined): string[] {
  return check === undefined ? ['-', '-'] : [number(check.error), number(check.errorSoFar)];
}

function number(value: number | undefined): string {
  return value === undefined ? '-' : value === 0 ? '0' : value.toExponential(1);
}

function figure(value: number): string {
  return Number.isNaN(value) ? 'none (one token)' : value.toPrecision(6);
}

function choicesText(choices: Choices | undefined): string {
  if (choices === undefined) return 'dense';
  const { equal, tokens, nearTies } = choices;
  return `${equal}/${tokens}${nearTies > 0 ? ` +${nearTies} ties` : ''}`;
}

function endText({ ends: { oneRank, layout }, layout: name, worldSize }: CheckpointFindings): string {
  const first = 'refused' in oneRank ? '' : `${number(oneRank.error)} on one rank, `;
  return `${first}${worldSize > 1 ? `${number(layout.error)} on ${name}` : ''}`;
}

function allChoices(layers: readonly LayerRow[]): string {
  const { tokens, equal, nearTies, wrong } = choicesOf(layers, ({ layout }) => layout.choices);
  const ties = nearTies > 0 ? `, ${nearTies} more at near ties` : '';
  return `${equal} of ${tokens} equal${ties}${wrong > 0 ? `, ${wrong} wrong` : ''}`;
}
