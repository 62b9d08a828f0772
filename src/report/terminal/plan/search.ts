/** What a search found, for a terminal. */
import { formatNumber } from '../../../core/units.ts';
import { totalOf, gpuUsPerToken } from '../../../planner/search/front.ts';
import { workloadText, type SearchReport, type Standing } from '../../../planner/search/search.ts';
import { formatMs, rateOf, shortName, sourcesOf, verdictOf, whyText } from '../../search.ts';
import { drawTable, paragraph } from '../table.ts';
import type { Style } from '../style.ts';

/** Rows of the front that are printed. */
const SHOWN = 12;

export function renderSearch(report: SearchReport, style: Style): string[] {
  const { model, hardware, gpus, precision, framework, workload, layouts, outOfMemory, simulated } = report;
  const { front, given } = report;
  const several = gpus.length > 1;
  const rest = front.length - SHOWN;
  return [
    style.bold(`Layouts of ${model} on ${gpus.join(', ')} ${hardware}, ${precision}, ${framework} framework`),
    ...paragraph(
      `${layouts} layouts: ${outOfMemory} do not fit the memory, ${simulated} simulated ${workloadText(workload)}.${report.interrupted ? ' Interrupted: the others were not reached.' : ''}`,
    ),
    '',
    ...paragraph(verdictOf(report), ''),
    '',
    style.bold('Not beaten in TTFT, throughput, memory and GPUs at once'),
    ...drawTable(
      [
        { head: 'layout', least: 20 },
        ...(several ? [{ head: 'GPUs', align: 'right' as const }] : []),
        { head: 'TTFT ms', align: 'right' },
        { head: 'TPOT ms', align: 'right' },
        { head: 'tokens/s/GPU', align: 'right' },
        { head: '80 % interval', align: 'right' },
        { head: 'GB', align: 'right' },
      ],
      front
        .slice(0, SHOWN)
        .map((one) => [
          shortName(one),
          ...(several ? [String(one.gpus)] : []),
          formatNumber(one.ttftMs),
          formatNumber(one.tpotMs),
          formatNumber(rateOf(one)),
          `${formatNumber(one.cells.out_tok_s_gpu.low)} to ${formatNumber(one.cells.out_tok_s_gpu.high)}`,
          (one.memoryBytes / 1e9).toFixed(1),
        ]),
      style.width,
    ),
    ...(rest > 0 ? [`  and ${rest} more: --json has them all.`] : []),
    ...paragraph(sourcesOf(front)),
    ...(given === null ? [] : ['', ...renderStanding(given, style)]),
    ...(report.givenRefused === null ? [] : ['', ...paragraph(report.givenRefused, '')]),
  ];
}

function renderStanding({ layout: own, rank, of, beaten, better }: Standing, style: Style): string[] {
  const us = formatNumber(totalOf(gpuUsPerToken(own)));
  return [
    style.bold(`Where ${shortName(own)} stands`),
    ...paragraph(
      `Number ${rank} of ${of} by throughput: ${formatNumber(rateOf(own))} output tokens/s a GPU, TTFT ${formatMs(own.ttftMs)}, ` +
        `TPOT ${formatMs(own.tpotMs)}, ${(own.memoryBytes / 1e9).toFixed(1)} GB; a token takes ${us} us of GPU time. ` +
        (beaten === 0
          ? 'Nothing is better in both TTFT and throughput.'
          : `${beaten} ${beaten === 1 ? 'is' : 'are'} no worse in TTFT and throughput and better in one.`),
    ),
    ...better.flatMap(({ layout, as, why }) => [
      ...paragraph(
        `${as}: ${shortName(layout)}, ${formatNumber(rateOf(layout))} tokens/s a GPU, TTFT ${formatMs(layout.ttftMs)}. ${whyText(why)}`,
      ),
    ]),
  ];
}
