/** How long an operation takes on a hardware: the one question that planners ask of this folder. */
import { chooseGroup, type Choice } from './curves/choose.ts';
import { familyOf, fieldOf, placeOf } from './curves/families.ts';
import { formulaUs, type Family } from './curves/family.ts';
import { beyondOf } from './curves/region.ts';
import { plainUs } from './plain.ts';
import type { Profile } from './profiles/profile.ts';
import type { Query, Timing } from './queries.ts';
import { requireQuery } from './require.ts';

/** Factors to either side of an answer that bound its 80 % interval: from figures alone, and from a relative's curve. Guesses. */
const PLAIN_FACTOR = 2;
const RELATIVE_FACTOR = 1.3;
/** As those, for a shape beyond all that were measured. A guess: DeepEP's published times for 8 nodes are up to 10 % off. */
const BEYOND_FACTOR = 1.15;

/**
 * How long an operation takes, in us, with an 80 % interval and the region of measurements that it lies in.
 * @throws ConfigError for a size that is not positive, or a dtype that there is not.
 */
export function timeOf(asked: Query, hardware: Profile): Timing {
  const query = requireQuery(asked, hardware);
  if ('ranks' in query && query.ranks === 1) return alone(query);
  const family = familyOf(query);
  const choice = family && chooseGroup(family, query, hardware);
  if (family !== undefined && choice !== undefined) {
    const timing = byCurve(family, choice, query, hardware);
    if (timing !== undefined) return timing;
  }
  const us = plainUs(query, hardware);
  return {
    us,
    low: us / PLAIN_FACTOR,
    high: us * PLAIN_FACTOR,
    region: `none covers this: ${query.op} on ${hardware.name}`,
    source: `roofline and links: ${hardware.source}`,
    tag: 'assumed',
  };
}

/** Nothing is sent. */
function alone({ op }: Query): Timing {
  return { us: 0, low: 0, high: 0, region: `${op} of one rank`, source: 'nothing is sent', tag: 'modelled' };
}

function byCurve(family: Family, choice: Choice, query: Query, hardware: Profile): Timing | undefined {
  const { group, rows, instead } = choice;
  const known = fieldOf(family, group);
  if (known === undefined) return undefined;
  const { fit, field } = known;
  const { left, deviation } = field.at(placeOf(family, group, family.features(query)), family.size(query));
  const us = formulaUs(family.terms(query, hardware), fit.parameters) * Math.exp(left);
  const beyond = beyondOf(family, query, rows);
  const wider = RELATIVE_FACTOR ** instead.length * (beyond === '' ? 1 : BEYOND_FACTOR);
  const region =
    instead.length > 0
      ? `none covers this: ${family.name} ${group} (${instead.join(', ')})`
      : `${family.name} ${group}`;
  return {
    us,
    low: (us * Math.exp(fit.low * deviation)) / wider,
    high: us * Math.exp(fit.high * deviation) * wider,
    region: beyond === '' ? region : `${region}, beyond what was measured: ${beyond}`,
    source: `curves fitted to ${family.tables[0]?.source ?? ''}`,
    tag: instead.length > 0 ? 'assumed' : 'modelled',
  };
}
