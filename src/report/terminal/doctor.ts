/** An examination of the adapter, told to a person. */
import type { Ceilings } from '../../bench/ceilings/ceilings.ts';
import type { AdapterExamination } from '../../bench/examine.ts';
import type { Summary } from '../../measure/statistics.ts';
import type { Peak } from '../../core/peak.ts';
import { formatBytes, formatNs, formatSi } from '../../core/units.ts';
import { MATRIX_FEATURE, matrixUnitText } from '../../gpu/shader/matrices.ts';
import { isSoftwareName } from '../../platform/choice.ts';
import type { AdapterFacts } from '../../platform/platform.ts';
import { renderCeilings } from './ceilings.ts';
import { PLAIN, type Style } from './style.ts';
import { drawFacts, paragraph } from './table.ts';

export interface DoctorFindings extends AdapterExamination {
  /** The most that probes reached within a short time. */
  readonly ceilings: Ceilings;
  /** Work that one dispatch is given at most, half a second of the f32 peak, and where that is from. */
  readonly longestDispatch: { readonly flops: number; readonly peak: Peak };
  /** Of this package, the runtime and what it computes with. */
  readonly versions: Readonly<Record<string, string>>;
  /** Why the adapter that npm brings cannot be used here; null when it can. */
  readonly embeddedObstacle: string | null;
  /** What was tuned for this adapter. */
  readonly tuning: { readonly state: string; readonly note: string; readonly path?: string };
}

const KINDS: Record<AdapterFacts['kind'], string> = {
  gpu: 'a GPU',
  software: 'a driver that runs on the CPU',
  'embedded-software': 'the software adapter that npm brings, on the CPU',
  unknown: 'unknown: it does not say what it is',
};

export function kindText(facts: AdapterFacts): string {
  return KINDS[facts.kind];
}

function longestText({ flops, peak }: DoctorFindings['longestDispatch']): string {
  const rate = formatSi(peak.flopsPerSecond, 'FLOP/s');
  return `${formatSi(flops, 'FLOP')} a dispatch: half a second of the ${peak.source} f32 peak, ${rate}`;
}

export function renderDoctor(found: DoctorFindings, style: Style = PLAIN): string[] {
  const { facts, features, limits, matrixUnits = [] } = found;
  return [
    style.bold('Adapter'),
    ...drawFacts([
      ['name', facts.name],
      ['kind', kindText(facts)],
      ['driver', facts.driver],
      ['vendor', `${facts.vendor}, ${facts.architecture}`],
      ['tuning', found.tuning.note.replace(/^tuning: /, '')],
      ['npm fallback', found.embeddedObstacle ?? 'SwiftShader, ready to be used'],
    ]),
    '',
    style.bold('How it was found'),
    ...facts.search.flatMap((step, i) => drawFacts([[`${i + 1}.`, step]])),
    '',
    style.bold('Features'),
    ...drawFacts([
      ...Object.entries(features).map(([name, has]): [string, string] => [
        FEATURES[name] ?? name,
        featureText(name, has, style),
      ]),
      ...matrixUnits.map((unit): [string, string] => ['', matrixUnitText(unit)]),
    ]),
    '',
    style.bold('Limits'),
    ...drawFacts(Object.entries(limits).map(([name, value]) => [name, limitText(name, value)])),
    '',
    style.bold('Measured here, just now'),
    ...drawFacts([
      ['GPU clock', clockText(found)],
      ['host clock', `step ${formatNs(found.hostClockStepNs)}`],
      ['read-back', `${summaryText(found.readbackNs)} for 4 bytes, wait included`],
      ['dispatch', `${summaryText(found.dispatchFloorNs)} for an empty one, recording included`],
      ['indirect', `${summaryText(found.indirectFloorNs)} for one whose grid lies in a buffer`],
      ['longest', longestText(found.longestDispatch)],
    ]),
    '',
    style.bold('Ceilings, measured just now'),
    ...renderCeilings(found.ceilings, style),
    '',
    style.bold('Versions'),
    ...drawFacts(Object.entries(found.versions)),
    '',
    ...verdict(found, style),
  ];
}

/** Where a feature's own name is too long for a table. */
const FEATURES: Readonly<Record<string, string>> = { [MATRIX_FEATURE]: 'matrix units' };

function featureText(name: string, has: boolean, style: Style): string {
  if (has) return style.good('yes');
  const without: Record<string, string> = {
    'timestamp-query': 'no: kernels are timed by the host clock',
    'shader-f16': 'no: f16 weights are stored packed and computed in f32',
    subgroups: 'no: variants that need them are left out',
    [MATRIX_FEATURE]: `no: ${MATRIX_FEATURE} is not offered; matrix variants are left out`,
  };
  return style.warn(without[name] ?? 'no');
}

function limitText(name: string, value: number): string {
  return /Size$/.test(name) && !/WorkgroupSize/.test(name) ? formatBytes(value) : value.toLocaleString('en');
}

function clockText({ gpuClock, features }: DoctorFindings): string {
  if (gpuClock !== undefined) {
    const { stepNs, smallestNs, readings } = gpuClock;
    return `step ${formatNs(stepNs)} (smallest difference ${formatNs(smallestNs)} in ${readings} readings)`;
  }
  return features['timestamp-query'] === true ? 'its timestamps do not move' : 'none: no timestamp-query';
}

/** '181 us (175 us to 190 us)': median and the interval that holds it with 95 %. */
export function summaryText({ median, low, high }: Summary): string {
  return `${formatNs(median)} (${formatNs(low)} to ${formatNs(high)})`;
}

function verdict({ facts, gpuClock }: DoctorFindings, style: Style): string[] {
  const lines: string[] = [];
  const say = (text: string): void => {
    for (const line of paragraph(text, '')) lines.push(line);
  };
  if (facts.kind === 'unknown')
    say(`${style.warn('Unknown adapter')}: results are right, times are not judged as those of a GPU.`);
  else if (facts.kind !== 'gpu' || isSoftwareName(facts.name))
    say(`${style.warn('Software adapter')}: results are right, times say nothing about a GPU.`);
  if (gpuClock === undefined)
    say(style.warn('Times come from the host clock and contain submission and wait.'));
  if (lines.length === 0) lines.push(style.good('Ready: kernels can be checked and timed here.'));
  return lines;
}
