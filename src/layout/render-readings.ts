import { formatFactors, readingsOf, type Reading } from './readings.ts';
import { formatLayout, SPEC_AXES, type LayoutSpec } from './spec.ts';
import { wrap } from './text.ts';

/** Every reading of a tuple as text, the one that Moebius runs first and marked with a star. */
export function renderReadings(spec: LayoutSpec, gpus?: number): string {
  const readings = readingsOf(spec, gpus);
  const head = `${readings.length} readings of ${formatLayout(spec)} are in use; Moebius runs the one marked *`;
  return [...wrap(head, '', '  '), ...readings.flatMap((reading) => ['', ...readingLines(reading)])].join(
    '\n',
  );
}

function readingLines(reading: Reading): string[] {
  const { id, runs, formula, worldSize, reason, views, meaning, names, coincidesWith, matchesGpus } = reading;
  const mark = matchesGpus === true ? `  <- ${worldSize} GPUs` : '';
  const verdict = reason === null ? mark : '  impossible';
  const lines = [`${runs ? '*' : ' '} ${id.padEnd(14)} ${formula} = ${worldSize}${verdict}`];
  const add = (text: string): void => {
    for (const line of wrap(text, '    ', '    ')) lines.push(line);
  };
  add(reason ?? meaning);
  for (const axis of SPEC_AXES) {
    for (const line of wrap(names[axis], `    ${axis}  `, '        ')) lines.push(line);
  }
  if (views !== null) {
    add(`attention  ${formatFactors(views.attention)}`);
    add(`experts    ${formatFactors(views.expert)}`);
  }
  if (coincidesWith.length > 0) add(`for this tuple the same as ${coincidesWith.join(' and ')}`);
  return lines;
}
