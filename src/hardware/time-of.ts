/** How long an operation takes on a hardware: the one question that planners ask of this folder. */
import type { Profile } from './profiles/profile.ts';
import { plainUs } from './plain.ts';
import type { Query, Timing } from './queries.ts';

/** The 80 % interval of an answer from figures alone spans this factor to either side. A guess. */
const PLAIN_FACTOR = 2;

/**
 * How long an operation takes, in us, with an 80 % interval and the region of measurements that it lies in.
 * @throws ConfigError for a dtype that there is not.
 */
export function timeOf(query: Query, hardware: Profile): Timing {
  const us = plainUs(query, hardware);
  return {
    us,
    low: us / PLAIN_FACTOR,
    high: us * PLAIN_FACTOR,
    region: `none covers this: ${query.op} on ${hardware.name}`,
    source: `roofline and links of ${hardware.source}`,
    tag: 'assumed',
  };
}
