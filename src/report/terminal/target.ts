/** The measured rate beside the target, with the source of every number. */
import type { BenchResult } from '../../bench/result.ts';
import { summarise } from '../../measure/statistics.ts';
import { RATE_NOTE } from '../../bench/model/throughput.ts';
import { formatNumber, formatSi } from '../../core/units.ts';
import { PLAIN, type Style } from './style.ts';
import { drawTable, paragraph } from './table.ts';

export function renderTarget(result: BenchResult, style: Style = PLAIN): string[] {
  const { rates, target, forward, model, card } = result;
  const { needs, assumptions, preset, worldSize } = target;
  const goal = `${target.targetTokensPerMsPerGpu} tokens/ms`;
  const rows: string[][] = [
    [`target per GPU, ${worldSize} GPUs`, goal, 'given'],
    ['target of the system', `${target.targetTokensPerMs.toLocaleString('en')} tokens/ms`, 'given'],
    [`${preset} needs per GPU`, formatSi(needs.flopsPerSecond, 'FLOP/s'), 'modelled'],
    ['', formatSi(needs.bytesPerSecond, 'B/s of memory'), 'modelled'],
  ];
  if (rates !== null) {
    rows.push(
      [
        `${model} per GPU, sharded`,
        `${formatNumber(rates.tokensPerMsPerGpu)} tokens/ms`,
        'measured, host clock',
      ],
      ['  unsharded', `${formatNumber(rates.unshardedTokensPerMs)} tokens/ms`, 'measured, host clock'],
      [
        '  useful arithmetic',
        formatSi(rates.usefulFlopsPerSecond, 'FLOP/s'),
        'modelled FLOP / measured time',
      ],
    );
  }
  if (card?.state === 'measured') {
    rows.push([
      `${preset} per GPU, ${card.layers} of ${card.modelLayers} layers`,
      `${formatNumber(summarise(card.tokensPerMs).median)} tokens/ms`,
      'measured, host clock',
    ]);
  }
  const { tokensPerMicroBatch, kvLength, tokensPerKvRead, bytesPerWeight } = assumptions;
  return [
    style.bold(`Throughput beside the target of ${goal} per GPU`),
    ...drawTable([{ head: 'what' }, { head: 'value', align: 'right' }, { head: 'source' }], rows),
    ...(forward === null ? [] : paragraph(RATE_NOTE)),
    ...paragraph(
      `Assumed for the ${preset} preset: micro-batches of ${tokensPerMicroBatch.toLocaleString('en')} tokens, ` +
        `${kvLength} positions of context, ${tokensPerKvRead} tokens per pass over the keys, ` +
        `${bytesPerWeight} bytes per weight.`,
    ),
  ];
}
