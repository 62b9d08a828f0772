/** The runs of the card scenario: checked against each other, then timed in turns. */
import { summarise, type Summary } from '../../src/measure/statistics.ts';
import { LOGITS_LIMIT, logitsError, ONE_RANK } from '../../src/bench/model/check.ts';
import { profileStages, type PhaseShare } from '../../src/bench/model/stages.ts';
import { at, maxOf, range, sum } from '../../src/core/math.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import type { LayoutSpec } from '../../src/layout/spec.ts';
import type { WeightSource } from '../../src/model/config.ts';
import { presetNamed } from '../../src/model/presets.ts';
import { syntheticWeights } from '../../src/model/synthetic.ts';
import type { AdapterFacts } from '../../src/platform/platform.ts';
import { createEngine, type Engine, type StepOptions, type StepResult } from '../../src/runtime/engine.ts';
import type { Request } from '../../src/runtime/step/plan.ts';
import type { WeightDtype } from '../../src/tensor/quantised.ts';

export interface CardOptions {
  readonly layers: number;
  readonly weights: WeightDtype;
  /** Tokens of the prompt. */
  readonly prompt: number;
  /** Sequences that the prompt's tokens are cut into where they are to fill the layout. */
  readonly sequences: number;
  readonly decode: number;
  readonly rounds: number;
  readonly layout: LayoutSpec;
}

export interface CardRun {
  readonly name: string;
  /** '1', or the layout's number of ranks. */
  readonly state: string;
  readonly tokens: number;
  readonly dispatches: number;
  readonly samplesNs: readonly number[];
  readonly summary: Summary;
}

export interface CardResult {
  readonly kind: 'card';
  readonly date: string;
  readonly adapter: AdapterFacts;
  readonly layers: number;
  readonly weights: WeightDtype;
  readonly rounds: number;
  readonly logitsError: number;
  readonly pass: boolean;
  readonly runs: readonly CardRun[];
  readonly ratios: readonly { readonly name: string; readonly value: number }[];
  readonly phases: readonly PhaseShare[];
  readonly memory: readonly { readonly name: string; readonly bytes: number }[];
}

/** What the engines are asked to do: a step of its own kind, on one rank and on all. */
interface Scenario {
  readonly name: string;
  /** On one rank, and on all of the layout where it is compared. */
  readonly engines: readonly Engine[];
  /** Of its n-th step in a round. */
  readonly requests: (n: number) => readonly Request[];
  /** Whether sequences begin anew with it. */
  readonly fresh: boolean;
  readonly times: number;
}

export async function bench(
  gpu: Gpu,
  options: CardOptions,
  say: (text: string) => void,
): Promise<CardResult> {
  const config = { ...presetNamed('card').config, numLayers: options.layers };
  const weights = kept(syntheticWeights(config, 1));
  const random = seededRandom(7);
  const ids = range(options.prompt).map(() => random.integer(config.vocabSize));
  const engines: Engine[] = [];
  const make = async (spec: LayoutSpec, maxSequences: number, maxLength: number): Promise<Engine> => {
    const layout = planLayout(spec, config);
    say(`weights on ${ranksOf({ layout })}`);
    const limits = { maxSequences, maxLength };
    const engine = await createEngine(gpu, { layout, weights, ...limits, weightDtype: options.weights });
    engines.push(engine);
    return engine;
  };
  try {
    const { prompt, decode, sequences } = options;
    const alone = await make(ONE_RANK, 1, prompt + decode);
    // Of a prompt's part, the tokens of one sequence alone and one more.
    const length = Math.ceil(prompt / sequences) + decode + 1;
    const one = await make(ONE_RANK, sequences, length);
    const many = await make(options.layout, sequences, length);

    const scenarios = scenariosOf(options, ids, { alone, one, many });
    say('one rank and all ranks, compared');
    const worst = await compare(scenarios);
    const pass = worst <= LOGITS_LIMIT;
    const samples = pass ? await sample(scenarios, options.rounds, say) : [];
    const runs = samples.map(runOf);
    return {
      kind: 'card',
      date: new Date().toISOString(),
      adapter: gpu.facts,
      layers: options.layers,
      weights: options.weights,
      rounds: options.rounds,
      logitsError: worst,
      pass,
      runs,
      ratios: scenarios.filter(isCompared).flatMap(({ name }) => {
        const [alone, all] = runs.filter((run) => run.name === name);
        return alone && all ? [{ name, value: all.summary.median / alone.summary.median }] : [];
      }),
      phases: pass ? await phasesOf(alone, ids) : [],
      memory: [alone, many].map((engine) => ({ name: ranksOf(engine), bytes: engine.memory.liveBytes })),
    };
  } finally {
    for (const engine of engines) engine.destroy();
  }
}

/** One sequence as a user has it, and as many as fill the layout. */
function scenariosOf(
  { sequences, decode }: CardOptions,
  ids: readonly number[],
  { alone, one: single, many }: Readonly<Record<'alone' | 'one' | 'many', Engine>>,
): Scenario[] {
  const perSequence = Math.ceil(ids.length / sequences);
  const cut = range(sequences).map((sequence) => ({
    sequence,
    ids: ids.slice(sequence * perSequence, (sequence + 1) * perSequence),
  }));
  // Every sequence and step its own token, so that experts are chosen as they would be.
  const next = (n: number): Request[] =>
    cut.map(({ sequence }) => ({ sequence, ids: [at(ids, (31 * n + 7 * sequence) % ids.length)] }));
  const one = (n: number): Request[] => next(n).slice(0, 1);
  const both = [single, many];
  return [
    { name: 'one prompt', engines: [alone], requests: () => [{ sequence: 0, ids }], fresh: true, times: 1 },
    { name: 'one token after it', engines: [alone], requests: one, fresh: false, times: decode },
    { name: `${sequences} prompts`, engines: both, requests: () => cut, fresh: true, times: 1 },
    { name: 'a token of one', engines: both, requests: one, fresh: false, times: decode },
    { name: 'a token of each', engines: both, requests: next, fresh: false, times: 1 },
  ];
}

const isCompared = ({ engines }: Scenario): boolean => engines.length > 1;

/** Largest difference of all logits, as a share of the largest. */
async function compare(scenarios: readonly Scenario[]): Promise<number> {
  let worst = 0;
  for (const { engines, requests, fresh } of scenarios.filter(isCompared)) {
    const results: StepResult[] = [];
    for (const engine of engines) {
      if (fresh) engine.reset();
      results.push(await engine.forward(requests(0)));
    }
    const [a, b] = [at(results, 0), at(results, 1)];
    worst = maxOf(
      a.logits.map((logits, i) => logitsError(at(b.logits, i), logits)),
      worst,
    );
  }
  return worst;
}

interface Samples {
  readonly name: string;
  readonly ranks: number;
  readonly tokens: number;
  readonly results: StepResult[];
}

/** All scenarios on all their engines in each round. The first warms up and is not counted. */
async function sample(
  scenarios: readonly Scenario[],
  rounds: number,
  say: (text: string) => void,
): Promise<readonly Samples[]> {
  const seats = scenarios.flatMap((scenario) =>
    scenario.engines.map((engine) => {
      const tokens = sum(scenario.requests(0).map(({ ids }) => ids.length));
      const made: Samples = { name: scenario.name, ranks: engine.layout.worldSize, tokens, results: [] };
      return { scenario, engine, made };
    }),
  );
  for (const round of range(rounds + 1)) {
    say(round === 0 ? 'first use of every kernel' : `round ${round} of ${rounds}`);
    for (const { scenario, engine, made } of seats) {
      if (scenario.fresh) engine.reset();
      for (let n = 0; n < scenario.times; n++) {
        const result = await engine.forward(scenario.requests(n));
        if (round > 0) made.results.push(result);
      }
    }
  }
  return seats.map(({ made }) => made);
}

const ranksOf = ({ layout }: Pick<Engine, 'layout'>): string =>
  layout.worldSize === 1 ? 'one rank' : `${layout.worldSize} ranks`;

async function phasesOf(engine: Engine, ids: readonly number[]): Promise<readonly PhaseShare[]> {
  if (!engine.gpu.has('timestamp-query')) return [];
  const options: StepOptions = { timing: 'span' };
  engine.reset();
  const { spans } = await engine.forward([{ sequence: 0, ids }], options);
  return profileStages(spans).stages.flatMap(({ phases }) => phases);
}

function runOf({ name, ranks, tokens, results }: Samples): CardRun {
  const samplesNs = results.map(({ hostNs }) => hostNs);
  return {
    name,
    state: String(ranks),
    tokens,
    dispatches: at(results, 0).dispatches,
    samplesNs,
    summary: summarise(samplesNs),
  };
}

/** Random tensors take longer to make than to use, and three engines ask for each. */
function kept(source: WeightSource): WeightSource {
  const made = new Map<string, ReturnType<WeightSource['get']>>();
  return {
    ...source,
    get: (name) => {
      const found = made.get(name) ?? source.get(name);
      made.set(name, found);
      return found;
    },
  };
}
