/**
 * One instance of a model under continuous batching. Time is in us. A pipeline of p stages has p lanes, micro-batches
 * that follow each other through the stages; without a pipeline there is one lane, whose steps follow each other.
 */
import TinyQueue from 'tinyqueue';
import { at, range } from '../../core/math.ts';
import type { Framework } from '../serving/framework.ts';
import type { StepCost, StepLoad, StepTime } from '../serving/step-cost.ts';

/** A request on its way. */
export interface Job {
  readonly id: number;
  readonly input: number;
  readonly output: number;
  arrivalUs: number;
  readonly seenUs: number;
  scheduledUs: number;
  firstUs: number;
  lastUs: number;
  /** Its keys and values are there already: another instance has read the prompt. */
  prefilled: boolean;
}

export interface InstanceSetting {
  readonly cost: StepCost;
  readonly framework: Framework;
  readonly stages: number;
  /** Share of a step's time that its dearest stage takes; 1 / stages when absent. */
  readonly slowest?: number;
  /** Attention groups, which step together. */
  readonly groups: number;
  /** Positions whose keys and values a group can keep. */
  readonly capacity: number;
  /** Most sequences of a group at once. */
  readonly maxSequences: number;
  /** Ends requests with their first token, for another instance to go on with. */
  readonly promptsOnly: boolean;
}

/** Loops over groups are plain: there may be hundreds, and each step goes over them. */
interface Group {
  readonly waiting: Job[];
  next: number;
  /** Prompts that are being read, in order. */
  readonly reading: { job: Job; done: number }[];
  reserved: number;
  sequences: number;
}

interface Ending {
  readonly tick: number;
  readonly job: Job;
  readonly group: number;
}

interface Lane {
  /** Of each group: sequences, and positions before each of them took `ticks` tokens. */
  readonly counts: Float64Array;
  readonly before: Float64Array;
  /** Sequences of all groups. */
  total: number;
  /** Steps that its sequences took. */
  ticks: number;
  readonly ends: TinyQueue<Ending>;
  freeUs: number;
}

/** What happened in one stretch of equal steps. */
export interface Stretch {
  readonly beginUs: number;
  readonly endUs: number;
  readonly steps: number;
  readonly lane: number;
  readonly load: StepLoad;
  readonly time: StepTime;
}

export interface Instance {
  /** Takes a request. @returns when the instance must be woken, if it sleeps. */
  accept(job: Job, nowUs: number): void;
  /** Tokens that it has yet to read or write. */
  readonly outstanding: () => number;
  /** Begins what can begin at this time. @returns when to be asked again; undefined when there is nothing to do. */
  advance(nowUs: number): number | undefined;
  /** An arrival in the midst of a stretch of equal steps ends it at its next step. @returns when to be asked again. */
  interrupt(nowUs: number): number | undefined;
}

/** Steps that are taken together when nothing changes but the context. A guess: contexts grow by a few percent at most. */
const LONGEST_STRETCH = 64;

/**
 * @param onDone is told when a request has its last token.
 * @param onStretch is told of every stretch of steps.
 */
export function makeInstance(
  setting: InstanceSetting,
  onDone: (job: Job) => void,
  onStretch: (stretch: Stretch) => void,
): Instance {
  const { cost, framework, stages, capacity, maxSequences, promptsOnly, slowest = 1 / stages } = setting;
  const groups: Group[] = range(setting.groups).map(() => ({
    waiting: [],
    next: 0,
    reading: [],
    reserved: 0,
    sequences: 0,
  }));
  const lanes: Lane[] = range(stages).map(() => ({
    counts: new Float64Array(groups.length),
    before: new Float64Array(groups.length),
    total: 0,
    ticks: 0,
    ends: new TinyQueue<Ending>([], (a, b) => a.tick - b.tick || a.job.id - b.job.id),
    freeUs: 0,
  }));
  const pollSteps = framework.pollSteps;
  let sincePoll = pollSteps;
  let outstanding = 0;
  let turn = 0;
  // Of all groups: requests that wait, prompts that are being read.
  let waiting = 0;
  let reading = 0;
  let stretch:
    | {
        beginUs: number;
        stepUs: number;
        steps: number;
        lane: Lane;
        index: number;
        load: StepLoad;
        time: StepTime;
      }
    | undefined;

  const accept = (job: Job): void => {
    outstanding += job.output + (job.prefilled ? 0 : job.input);
    let lightest = at(groups, 0);
    let least = Infinity;
    for (const group of groups) {
      const load = group.sequences + group.waiting.length - group.next;
      if (load < least) [lightest, least] = [group, load];
    }
    lightest.waiting.push(job);
    waiting++;
  };
  const reserveOf = ({ input, output }: Job): number =>
    input + (promptsOnly ? 0 : Math.ceil(framework.reserved * output));

  const admit = (nowUs: number): void => {
    if (waiting === 0) return;
    for (let g = 0; g < groups.length; g++) {
      const group = at(groups, g);
      while (group.next < group.waiting.length && group.sequences < maxSequences) {
        const job = at(group.waiting, group.next);
        const need = reserveOf(job);
        if (group.reserved + need > capacity && group.sequences > 0) break;
        group.next++;
        waiting--;
        group.reserved += need;
        group.sequences++;
        if (job.scheduledUs < 0) job.scheduledUs = nowUs;
        if (job.prefilled) {
          // Its first token came with its keys and values.
          if (job.firstUs < 0) job.firstUs = nowUs;
          begin(job, g, emptiest(g));
        } else {
          group.reading.push({ job, done: 0 });
          reading++;
        }
      }
      if (group.next > 1024 && group.next * 2 > group.waiting.length) {
        group.waiting.splice(0, group.next);
        group.next = 0;
      }
    }
  };
  const emptiest = (g: number): Lane => {
    let least = at(lanes, 0);
    for (const lane of lanes) if (at(lane.counts, g) < at(least.counts, g)) least = lane;
    return least;
  };

  /** It takes a token in each of its lane's steps from the next on. */
  const begin = (job: Job, g: number, lane: Lane): void => {
    const left = job.output - 1;
    lane.counts[g] = at(lane.counts, g) + 1;
    lane.total++;
    lane.before[g] = at(lane.before, g) + job.input + 1 - lane.ticks;
    lane.ends.push({ tick: lane.ticks + Math.max(1, left), job, group: g });
  };

  const end = (job: Job, g: number, endUs: number): void => {
    const group = at(groups, g);
    group.reserved -= reserveOf(job);
    group.sequences--;
    job.lastUs = endUs;
    onDone(job);
  };

  /** All sequences of a lane take `steps` tokens, the last at `endUs`. */
  const tick = (lane: Lane, steps: number, endUs: number): void => {
    lane.ticks += steps;
    outstanding -= steps * lane.total;
    for (
      let first = lane.ends.peek();
      first !== undefined && first.tick <= lane.ticks;
      first = lane.ends.peek()
    ) {
      lane.ends.pop();
      const { job, group } = first;
      lane.counts[group] = at(lane.counts, group) - 1;
      lane.total--;
      lane.before[group] = at(lane.before, group) - job.input - job.output + lane.ticks;
      end(job, group, endUs);
    }
  };

  const settle = (steps: number): void => {
    if (stretch === undefined) return;
    const { beginUs, stepUs, lane, index, load: what, time } = stretch;
    const endUs = beginUs + steps * stepUs;
    stretch = undefined;
    onStretch({ beginUs, endUs, steps, lane: index, load: what, time });
    tick(lane, steps, endUs);
  };

  const advance = (nowUs: number): number | undefined => {
    if (stretch !== undefined) settle(stretch.steps);
    if (polls()) admit(nowUs);
    for (let tried = 0; tried < stages; tried++) {
      const index = turn % stages;
      const lane = at(lanes, index);
      const prompting = reading > 0;
      if (!prompting && lane.total === 0) {
        turn++;
        continue;
      }
      if (lane.freeUs > nowUs) return lane.freeUs;
      turn++;
      return step(lane, index, prompting, nowUs);
    }
    return undefined;
  };

  /** New requests are looked for after a step with prompts, when nothing runs, and every so many steps else. */
  const polls = (): boolean => {
    if (sincePoll < pollSteps && lanes.some(({ total }) => total > 0)) return false;
    sincePoll = 0;
    return true;
  };

  const step = (lane: Lane, index: number, prompting: boolean, nowUs: number): number => {
    const first = prompting && framework.policy === 'prompts-first';
    const totalDecodes = first ? 0 : lane.total;
    let decodes = 0;
    let contexts = 0;
    for (let g = 0; g < groups.length && totalDecodes > 0; g++) {
      const own = at(lane.counts, g);
      const seen = at(lane.before, g) + lane.ticks * own;
      if (own > decodes) decodes = own;
      if (seen > contexts) contexts = seen;
    }
    let prompts = 0;
    let pairs = 0;
    let total = 0;
    let ended = 0;
    const through: { job: Job; g: number }[] = [];
    for (let g = 0; g < groups.length && prompting; g++) {
      const group = at(groups, g);
      if (group.reading.length === 0) continue;
      let budget = Math.max(framework.maxTokens - (first ? 0 : at(lane.counts, g)), 64);
      let [tokens, seen, whole] = [0, 0, 0];
      while (budget > 0 && group.reading.length > 0) {
        const head = at(group.reading, 0);
        const size = Math.min(budget, head.job.input - head.done);
        seen += size * (head.done + (size + 1) / 2);
        tokens += size;
        budget -= size;
        head.done += size;
        if (head.done < head.job.input) break;
        group.reading.shift();
        reading--;
        through.push({ job: head.job, g });
        whole++;
      }
      total += tokens;
      ended = Math.max(ended, whole);
      if (seen > pairs || tokens > prompts)
        [prompts, pairs] = [Math.max(tokens, prompts), Math.max(seen, pairs)];
    }
    const steps = prompts === 0 && stages === 1 ? stretchOf(lane) : 1;
    const context = decodes === 0 ? 0 : contexts / decodes + (steps - 1) / 2;
    const what: StepLoad = {
      decodes,
      context,
      prompts,
      pairs,
      tokens: totalDecodes + total,
      sampled: decodes + ended,
    };
    const time = cost(what);
    sincePoll = prompts > 0 ? pollSteps : sincePoll + steps;
    if (steps > 1) {
      stretch = { beginUs: nowUs, stepUs: time.total, steps, lane, index, load: what, time };
      lane.freeUs = nowUs + steps * time.total;
      return lane.freeUs;
    }
    const hops = (stages - 1) * (stages > 1 ? cost.handOver(what.tokens) : 0);
    const endUs = nowUs + time.total + hops;
    onStretch({ beginUs: nowUs, endUs, steps: 1, lane: index, load: what, time });
    lane.freeUs = endUs;
    outstanding -= total;
    if (totalDecodes > 0) tick(lane, 1, endUs);
    for (const { job, g } of through) {
      job.firstUs = endUs;
      outstanding--;
      if (promptsOnly || job.output === 1) end(job, g, endUs);
      else {
        const own = stages === 1 ? lane : emptiest(g);
        own.freeUs = Math.max(own.freeUs, endUs);
        begin(job, g, own);
      }
    }
    // Micro-batches follow each other at the pace of the dearest stage.
    return stages === 1 ? endUs : nowUs + time.total * slowest + hops / stages;
  };

  /** Steps until one of its sequences ends. */
  const stretchOf = (lane: Lane): number => {
    const next = lane.ends.peek();
    if (next === undefined) return 1;
    const due = pollSteps > 1 && waiting > 0 ? Math.max(1, pollSteps - sincePoll) : LONGEST_STRETCH;
    return Math.max(1, Math.min(LONGEST_STRETCH, next.tick - lane.ticks, due));
  };

  const interrupt = (nowUs: number): number | undefined => {
    if (stretch === undefined) return undefined;
    const { beginUs, stepUs, steps, lane } = stretch;
    // The step that runs is ended, and as many more as there are until arrivals are looked for.
    const running = Math.max(1, Math.ceil((nowUs - beginUs) / stepUs));
    const done = Math.min(steps, Math.max(running, pollSteps - (sincePoll - steps)));
    sincePoll -= stretch.steps - done;
    stretch.steps = done;
    lane.freeUs = beginUs + done * stepUs;
    return lane.freeUs;
  };

  return { accept, outstanding: () => outstanding, advance, interrupt };
}
