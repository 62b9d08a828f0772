/** How far a projection can be believed: errors on calibration rows of families that the fit had not seen. */
import type { Profile } from '../../hardware/profiles/profile.ts';
import { mixtureLayers, type ModelFacts } from '../models/facts.ts';
import { SPREAD } from '../serving/figures.ts';
import type { FrameworkName } from '../serving/framework.ts';
import type { Placement } from '../serving/placement.ts';

/** The region of the calibration that a setting lies in, and whether there is one. */
export interface Region {
  readonly region: string;
  readonly covered: boolean;
  /** How far projections of its kind were off. */
  readonly kind: keyof (typeof SPREAD)['named'];
  /** Whether the framework has a name. */
  readonly spread: keyof typeof SPREAD;
}

export type Quantity = 'ttft' | 'tpot' | 'rate';

/** A projected number with what it is worth. */
export interface Cell {
  readonly value: number;
  /** 80 % interval. */
  readonly low: number;
  readonly high: number;
  readonly tag: 'modelled' | 'assumed';
  /** `serving hopper mixture`, or `none covers this: ...`. */
  readonly region: string;
}

/** Where nothing of the kind was measured. A guess. */
const UNSEEN = 1.5;

const ARCHITECTURES = /^(hopper|blackwell)$/;
/** GPUs of an instance in the calibration. */
const MOST_GPUS = 16;

/** The region that a setting lies in. @param framework that was named: without one errors are larger. */
export function regionOf(
  model: ModelFacts,
  hardware: Profile,
  placement: Placement,
  framework?: FrameworkName,
): Region {
  const spread = framework === undefined || framework === 'typical' ? 'unnamed' : 'named';
  const kind = mixtureLayers(model) > 0 ? 'mixture' : 'dense';
  const region = `serving ${hardware.architecture} ${kind}`;
  const gpus = placement.attnTp * placement.attnDp * placement.pp;
  const why = [
    ...(hardware.own === true ? [`${hardware.name} is hardware of a file`] : []),
    ...(ARCHITECTURES.test(hardware.architecture)
      ? []
      : [`no serving was measured on ${hardware.architecture}`]),
    ...(gpus <= MOST_GPUS ? [] : [`instances of more than ${MOST_GPUS} GPUs`]),
    ...(placement.pp === 1 ? [] : ['pipelines']),
  ];
  return why.length === 0
    ? { region, covered: true, kind, spread }
    : { region: `none covers this: ${why.join(', ')}`, covered: false, kind, spread };
}

/** A number with its interval. */
export function cellOf(value: number, quantity: Quantity, { region, covered, kind, spread }: Region): Cell {
  const [low, high] = SPREAD[spread][kind][quantity];
  const more = covered ? 1 : UNSEEN;
  return {
    value,
    low: (value * low) / more,
    high: value * high * more,
    tag: covered ? 'modelled' : 'assumed',
    region,
  };
}
