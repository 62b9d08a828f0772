/** What routing and balancing cost of a layer, told to a person. */
import { formatNs } from '../../../core/units.ts';
import type { CostSum, LayerCost } from '../../../laboratory/layer/cost.ts';
import type { CostPart } from '../../../laboratory/layer/parts.ts';
import { PLAIN, type Style } from '../style.ts';
import { drawTable, paragraph } from '../table.ts';

const IDEAS: Readonly<Record<CostPart, string>> = {
  norm: 'before the router',
  gate: 'logits: x times the gate',
  'top-k': 'experts and scores of every token',
  capacity: 'slots under the capacity, by the policy',
  balancing: 'the bias follows the load',
  plan: 'places of all rows, list of tiles',
  dispatch: 'rows to the ranks of their experts',
  experts: 'both products',
  return: 'rows back',
  combine: 'the rows of a token joined',
};

/** Some shares here are far below 1 %. */
const share = (part: number): string => `${(100 * part).toFixed(part < 0.1 ? 3 : 1)} %`;

export function renderCost(cost: LayerCost, style: Style = PLAIN): string[] {
  const { parts, routing, balancing, layerNs, bareNs, normNs, check, rounds } = cost;
  const right = 'right' as const;
  const { choices, slots, dropped, values } = check;
  return [
    ...drawTable(
      [
        { head: 'part' },
        { head: 'dispatches', align: right, drop: 1 },
        { head: 'time', align: right },
        { head: 'share', align: right },
        { head: '95 % interval', align: right },
        { head: 'what is done', drop: 2 },
      ],
      parts.map((row) => [
        row.part,
        String(row.dispatches),
        row.dispatches === 0 ? '-' : formatNs(row.ns.median),
        share(row.share.median),
        `${share(row.share.low)} to ${share(row.share.high)}`,
        IDEAS[row.part],
      ]),
      style.width,
    ),
    '',
    ...sumLines('routing (top-k, capacity, plan)', routing, style),
    ...sumLines('balancing (update of the bias)', balancing, style),
    '',
    ...paragraph(
      `Measured: medians of ${rounds} rounds, each part between timestamps of the device. The layer takes ` +
        `${formatNs(layerNs.median)}, its norm ${formatNs(normNs.median)} more; in one pass without timestamps in between both ` +
        `take ${formatNs(bareNs.median)}.`,
    ),
    ...paragraph(
      `Checked first: ${choices.equal} of ${choices.compared} tokens have the experts of float64, all ${slots} choices the slots ` +
        `of the host's integers (${dropped} dropped), outputs of ${values.tokens} tokens are off by ${values.error.toExponential(1)} ` +
        `of the largest. The same bits in ${cost.runsWithSameBits} runs; the host waited ${cost.hostWaits} times within one.`,
    ),
  ];
}

function sumLines(what: string, { share: of, limit, met }: CostSum, style: Style): string[] {
  const verdict = met ? style.good('met') : style.bad('missed');
  return [
    `  ${what} ${style.bold(share(of.median))} of the MoE layer`,
    `    ${share(of.low)} to ${share(of.high)}; goal at most ${100 * limit} %: ${verdict}`,
  ];
}
