/** Requests through the instances of a layout: discrete events, deterministic, one queue in the order of time. */
import TinyQueue from 'tinyqueue';
import { ConfigError } from '../../core/errors.ts';
import { at, range } from '../../core/math.ts';
import { seededRandom } from '../../core/random.ts';
import { addParts, STEP_PARTS, type StepPart } from '../serving/step-cost.ts';
import { makeInstance, type Instance, type InstanceSetting, type Job, type Stretch } from './instance.ts';
import { firstOf, type Workload } from './workload.ts';

export interface Pool {
  readonly setting: InstanceSetting;
  readonly instances: number;
  /** GPUs of one instance. */
  readonly gpus: number;
}

export interface SimulationSetting {
  /** Reads prompts, and goes on with them where there is no other pool. */
  readonly pool: Pool;
  /** Goes on with what the first pool has read; absent without disaggregation. */
  readonly decodePool?: Pool;
  /**
   * us that keys and values of so many positions take from one pool to the other, through the links of an attention group:
   * one request after the other.
   */
  readonly transferUs?: (positions: number) => number;
  /** Round robin, or the instance with the fewest tokens to do. */
  readonly routing?: 'round-robin' | 'least-loaded';
  /** us before a request is seen by the scheduler, on average. */
  readonly requestUs?: number;
  /**
   * By what share of `requestUs` that differs from request to request, evenly; 0 by default. Without it requests of equal
   * lengths that came together would end and come back together for ever.
   */
  readonly requestSpread?: number;
  /** Prompts have been read elsewhere: an instance only goes on with them. */
  readonly prefilled?: boolean;
  /** Stretches that are kept for a timeline. */
  readonly keepStretches?: number;
}

/** One request's times, us. */
export interface RequestTimes {
  readonly id: number;
  readonly input: number;
  readonly output: number;
  readonly arrivalUs: number;
  /** When its scheduler could first have taken it. */
  readonly seenUs: number;
  readonly scheduledUs: number;
  readonly firstUs: number;
  readonly lastUs: number;
}

export const SHARES = [...STEP_PARTS, 'bubble', 'idle'] as const;
export type Share = (typeof SHARES)[number];

export const SHARE_NAMES: Readonly<Record<Share, string>> = {
  attention: 'attention',
  dense: 'projections, dense and shared parts',
  experts: 'experts, if balanced',
  imbalance: 'imbalance of experts',
  exposed: 'exposed communication',
  overhead: 'launches and framework',
  bubble: 'bubbles',
  idle: 'no request there',
};

export interface SimulationResult {
  readonly requests: readonly RequestTimes[];
  /** From the first arrival to the last token. */
  readonly horizonUs: number;
  /** Of all GPU time within the horizon: sums to 1. */
  readonly shares: Readonly<Record<Share, number>>;
  /** Engine steps of all instances. */
  readonly steps: number;
  readonly events: number;
  readonly stretches: readonly (Stretch & { readonly instance: number; readonly pool: number })[];
}

interface Event {
  readonly us: number;
  readonly order: number;
  readonly job?: Job;
  /** An instance that is to go on, if nothing has changed its plans since. */
  readonly unit?: Unit;
  readonly version?: number;
}

interface Unit {
  readonly instance: Instance;
  readonly pool: number;
  version: number;
  asleep: boolean;
  /** Jobs inside, and since when there are any. */
  jobs: number;
  sinceUs: number;
  occupiedUs: number;
  /** When the links of each attention group have sent what they have to. */
  readonly sentUs: number[];
}

/** @throws ConfigError for a request that no instance could ever hold. */
export function simulate(setting: SimulationSetting, workload: Workload): SimulationResult {
  const pools = setting.decodePool === undefined ? [setting.pool] : [setting.pool, setting.decodePool];
  for (const { input, output } of workload.requests) {
    for (const pool of pools) {
      const need = input + (pool.setting.promptsOnly ? 0 : output);
      if (need > pool.setting.capacity) {
        throw new ConfigError(
          `A request of ${input} + ${output} tokens needs ${need} positions of KV cache, but an attention group has room for ` +
            `${Math.floor(pool.setting.capacity)}. Split the model over more GPUs, or ask for fewer tokens.`,
        );
      }
    }
  }
  const queue = new TinyQueue<Event>([], (a, b) => a.us - b.us || a.order - b.order);
  let order = 0;
  const pushJob = (us: number, job: Job): void => queue.push({ us, order: order++, job });
  const pushNew = (job: Job): void => pushJob(job.seenUs, job);
  const done: Job[] = [];
  const parts = pools.map(
    () => Object.fromEntries(STEP_PARTS.map((part) => [part, 0])) as Record<StepPart, number>,
  );
  const stretches: (Stretch & { instance: number; pool: number })[] = [];
  let steps = 0;
  let nowUs = 0;
  let following = 0;
  const { requestUs = 0, requestSpread = 0 } = setting;
  const random = seededRandom(1);
  const jobOf = (
    id: number,
    { input, output }: { input: number; output: number },
    arrivalUs: number,
  ): Job => {
    const prefilled = setting.prefilled === true;
    const seenUs = arrivalUs + requestUs * (1 + requestSpread * (2 * random.uniform() - 1));
    return { id, input, output, arrivalUs, seenUs, scheduledUs: -1, firstUs: -1, lastUs: -1, prefilled };
  };
  const keep = setting.keepStretches ?? 0;

  const units: Unit[][] = pools.map((pool, p) =>
    range(pool.instances).map((i) => {
      const onDone = (job: Job): void => {
        leave(unit, job.lastUs);
        if (p === 0 && pools.length > 1 && job.output > 1) {
          job.prefilled = true;
          pushJob(sendUs(unit, job), job);
          return;
        }
        done.push(job);
        if (workload.kind !== 'closed') return;
        following++;
        const next = workload.requests[workload.concurrency - 1 + following];
        if (next === undefined) return;
        pushNew(jobOf(workload.concurrency - 1 + following, next, job.lastUs));
      };
      const onStretch = (stretch: Stretch): void => {
        addParts(at(parts, p), stretch.time, (stretch.steps * pool.gpus) / pool.setting.stages);
        steps += stretch.steps;
        if (stretches.length < keep) stretches.push({ ...stretch, instance: i, pool: p });
      };
      const instance = makeInstance(pool.setting, onDone, onStretch);
      const sentUs = range(pool.setting.groups).map(() => 0);
      const idle = { version: 0, asleep: true, jobs: 0, sinceUs: 0, occupiedUs: 0 };
      const unit: Unit = { instance, pool: p, ...idle, sentUs };
      return unit;
    }),
  );
  /** When the keys and values of a job have arrived: they wait for those that its links send already. */
  const sendUs = ({ sentUs }: Unit, { lastUs, input }: Job): number => {
    let free = 0;
    for (let g = 1; g < sentUs.length; g++) if (at(sentUs, g) < at(sentUs, free)) free = g;
    const endUs = Math.max(lastUs, at(sentUs, free)) + (setting.transferUs?.(input) ?? 0);
    sentUs[free] = endUs;
    return endUs;
  };
  const leave = (unit: Unit, us: number): void => {
    unit.jobs--;
    if (unit.jobs === 0) unit.occupiedUs += us - unit.sinceUs;
  };
  const turns = pools.map(() => 0);
  const choose = (p: number): Unit => {
    const candidates = at(units, p);
    if (setting.routing !== 'least-loaded')
      return at(candidates, (turns[p] = (at(turns, p) + 1) % candidates.length));
    return candidates.reduce((least, unit) =>
      unit.instance.outstanding() < least.instance.outstanding() ? unit : least,
    );
  };
  const wake = (unit: Unit, us: number | undefined): void => {
    unit.version++;
    unit.asleep = us === undefined;
    if (us !== undefined) queue.push({ us, order: order++, unit, version: unit.version });
  };

  for (const [id, shape] of firstOf(workload).entries()) {
    pushNew(jobOf(id, shape, shape.arrivalS * 1e6));
  }
  let events = 0;
  for (let event = queue.pop(); event !== undefined; event = queue.pop()) {
    events++;
    nowUs = event.us;
    if (event.job !== undefined) {
      const unit = choose(event.job.prefilled && pools.length > 1 ? 1 : 0);
      if (unit.jobs === 0) unit.sinceUs = nowUs;
      unit.jobs++;
      unit.instance.accept(event.job, nowUs);
      if (unit.asleep) {
        // Requests of the same moment are seen together.
        wake(unit, nowUs);
      } else {
        const again = unit.instance.interrupt(nowUs);
        if (again !== undefined) wake(unit, again);
      }
      continue;
    }
    const due = event.unit;
    if (due === undefined || event.version !== due.version) continue;
    wake(due, due.instance.advance(nowUs));
  }
  done.sort((a, b) => a.id - b.id);
  const begin = at(done, 0).arrivalUs;
  const end = done.reduce((last, job) => Math.max(last, job.lastUs), begin);
  return {
    requests: done,
    horizonUs: end - begin,
    shares: sharesOf(pools, parts, units, end - begin),
    steps,
    events,
    stretches,
  };
}

/** GPU time by what it went into; waiting inside an instance with work is bubble, without work idle. */
function sharesOf(
  pools: readonly Pool[],
  parts: readonly Readonly<Record<StepPart, number>>[],
  units: readonly (readonly Unit[])[],
  horizonUs: number,
): Record<Share, number> {
  const shares = Object.fromEntries(SHARES.map((share) => [share, 0])) as Record<Share, number>;
  let whole = 0;
  for (const [p, pool] of pools.entries()) {
    const all = horizonUs * pool.instances * pool.gpus;
    let busy = 0;
    for (const part of STEP_PARTS) {
      const used = at(parts, p)[part];
      shares[part] += used;
      busy += used;
    }
    let occupied = 0;
    for (const unit of at(units, p)) occupied += unit.occupiedUs * pool.gpus;
    const waited = Math.min(occupied, all) - busy;
    // Less is what rounding left of two equal sums.
    const bubble = waited > 1e-9 * all ? waited : 0;
    shares.bubble += bubble;
    shares.idle += Math.max(0, all - busy - bubble);
    whole += Math.max(all, busy + bubble);
  }
  for (const share of SHARES) shares[share] = whole > 0 ? shares[share] / whole : 0;
  return shares;
}
