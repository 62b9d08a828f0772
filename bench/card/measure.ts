/** The runs of the card scenario: checked against each other, then timed in turns. */
import { summarise, type Summary } from '../../src/bench/statistics.ts';
import { LOGITS_LIMIT, logitsError, ONE_RANK } from '../../src/bench/model-check.ts';
import { profileStages, type PhaseShare } from '../../src/bench/stages.ts';
import { at, range } from '../../src/core/math.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import type { LayoutSpec } from '../../src/layout/spec.ts';
import type { WeightSource } from '../../src/model/config.ts';
import { presetNamed } from '../../src/model/presets.ts';
import { syntheticWeights } from '../../src/model/synthetic.ts';
import type { AdapterFacts } from '../../src/platform/platform.ts';
import { createEngine, type Engine, type StepOptions, type StepResult } from '../../src/runtime/engine.ts';
import type { WeightDtype } from '../../src/tensor/quantised.ts';

export interface CardOptions {
  readonly layers: number;
  readonly weights: WeightDtype;
  /** Tokens of the prompt. */
  readonly prompt: number;
  /** Sequences that the prompt's tokens are cut into where a layout is compared with one rank. */
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

interface Samples {
  readonly name: string;
  readonly ranks: number;
  readonly tokens: number;
  readonly results: StepResult[];
}

export async function bench(
  gpu: Gpu,
  options: CardOptions,
  say: (text: string) => void,
): Promise<CardResult> {
  const config = { ...presetNamed('card').config, numLayers: options.layers };
  const weights = kept(syntheticWeights(config, 1));
  const perSequence = Math.ceil(options.prompt / options.sequences);
  const random = seededRandom(7);
  const ids = range(options.prompt).map(() => random.integer(config.vocabSize));
  const cut = range(options.sequences).map((sequence) => ({
    sequence,
    ids: ids.slice(sequence * perSequence, (sequence + 1) * perSequence),
  }));
  const make = (spec: LayoutSpec, maxSequences: number, maxLength: number): Promise<Engine> =>
    createEngine(gpu, {
      layout: planLayout(spec, config),
      weights,
      maxSequences,
      maxLength,
      weightDtype: options.weights,
    });
  const engines: Engine[] = [];
  try {
    say('weights on one rank');
    const alone = await make(ONE_RANK, 1, options.prompt + options.decode);
    engines.push(alone);
    const one = await make(ONE_RANK, options.sequences, perSequence + 1);
    engines.push(one);
    say('weights on all ranks');
    const many = await make(options.layout, options.sequences, perSequence + 1);
    engines.push(many);

    const worst = await compare(one, many, cut, say);
    const pass = worst <= LOGITS_LIMIT;
    const samples: Samples[] = [];
    let phases: readonly PhaseShare[] = [];
    if (pass) {
      const sample = (name: string, engine: Engine, tokens: number): Samples => {
        const made = { name, ranks: engine.layout.worldSize, tokens, results: [] };
        samples.push(made);
        return made;
      };
      const prefill = sample('one prompt', alone, options.prompt);
      const decode = sample('one token after it', alone, 1);
      const cutOne = sample(`${options.sequences} prompts`, one, options.prompt);
      const cutMany = sample(`${options.sequences} prompts`, many, options.prompt);
      const nextOne = sample('a token of each', one, options.sequences);
      const nextMany = sample('a token of each', many, options.sequences);
      const next = cut.map(({ sequence }) => ({ sequence, ids: [1] }));
      // The first round warms up and is not counted.
      for (const round of range(options.rounds + 1)) {
        say(round === 0 ? 'first use of every kernel' : `round ${round} of ${options.rounds}`);
        const keep = (to: Samples, result: StepResult): void => {
          if (round > 0) to.results.push(result);
        };
        alone.reset();
        keep(prefill, await alone.forward([{ sequence: 0, ids }]));
        for (const i of range(options.decode)) {
          keep(decode, await alone.forward([{ sequence: 0, ids: [at(ids, i % ids.length)] }]));
        }
        for (const [engine, first, second] of [
          [one, cutOne, nextOne],
          [many, cutMany, nextMany],
        ] as const) {
          engine.reset();
          keep(first, await engine.forward(cut));
          keep(second, await engine.forward(next));
        }
      }
      phases = await phasesOf(alone, ids);
    }
    const runs = samples.map(runOf);
    const ratio = (name: string, a: number, b: number): { name: string; value: number } => ({
      name,
      value: at(runs, a).summary.median / at(runs, b).summary.median,
    });
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
      ratios: pass ? [ratio('prompts', 3, 2), ratio('a token of each', 5, 4)] : [],
      phases,
      memory: [
        { name: 'one rank', bytes: alone.memory.liveBytes },
        { name: `${many.layout.worldSize} ranks`, bytes: many.memory.liveBytes },
      ],
    };
  } finally {
    for (const engine of engines) engine.destroy();
  }
}

/** Largest difference of all sequences' logits, as a share of the largest. */
async function compare(
  one: Engine,
  many: Engine,
  requests: readonly { readonly sequence: number; readonly ids: readonly number[] }[],
  say: (text: string) => void,
): Promise<number> {
  say('one rank and all ranks, compared');
  const a = await one.forward(requests);
  const b = await many.forward(requests);
  return Math.max(...a.logits.map((logits, i) => logitsError(at(b.logits, i), logits)));
}

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
