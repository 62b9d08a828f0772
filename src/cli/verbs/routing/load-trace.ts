/** Where the choices of an experiment come from: a generator by its name, or a file. */
import { ConfigError } from '../../../core/errors.ts';
import type { Fields } from '../../../core/given.ts';
import { at, maxOf } from '../../../core/math.ts';
import { printable } from '../../../core/text/printable.ts';
import { quoted } from '../../../core/text/quoted.ts';
import { parseStrictJson } from '../../../model/safetensors/strict-json.ts';
import { checkChoices, type Choices } from '../../../routing/choices.ts';
import { maxOverMean } from '../../../routing/load.ts';
import {
  formatGenerator,
  generateChoices,
  type GeneratorSpec,
  parseGenerator,
  TRACE_GENERATORS,
} from '../../../routing/trace/generate.ts';
import { importTraces } from '../../../routing/trace/import.ts';
import { replayLayer, type ReplayFacts } from '../../../routing/trace/replay.ts';
import {
  MOST_TRACE_BYTES,
  type RoutingTrace,
  traceFromJson,
  type TraceLayer,
} from '../../../routing/trace/trace.ts';
import { MOST_SEED, requireInteger } from '../../options.ts';
import { platformHere } from '../../session.ts';

/** Which choices an experiment has: options of all kinds of `moebius routing`. */
export interface TraceOptions {
  /** A generator, as 'zipf:1.2', or the path of a trace. */
  readonly trace: string;
  /** Of a generator; of a file they must be what it has. 16 and 2 when absent. */
  readonly experts?: number;
  readonly topk?: number;
  /** 4,096 when absent; a recorded trace may have fewer. */
  readonly tokens?: number;
  /** Of a file; the most uneven one when absent. */
  readonly layer?: number;
  /** Part of the name of a model or text, where a file has several. */
  readonly pick?: string;
  /** 1 when absent. */
  readonly seed?: number;
}

export const TRACE_FIELDS: Fields = {
  ...{ trace: 'string', experts: 'number?', topk: 'number?', tokens: 'number?', layer: 'number?' },
  ...{ pick: 'string?', seed: 'number?' },
};

export interface LoadedTrace {
  /** 'zipf:1.2', or the file's name with the model and the layer. */
  readonly name: string;
  readonly generator?: GeneratorSpec;
  readonly layer?: number;
  readonly facts: ReplayFacts;
  readonly choices: Choices;
}

/** Traces of the package by name. */
export const BUNDLED_TRACES: Readonly<Record<string, string>> = {
  'tiny-moe': 'bench/data/routing/tiny-moe.json',
};

const DEFAULTS = { experts: 16, topk: 2, tokens: 4096 };
export const TRACE_SEED = 1;
/** Tokens whose choices an experiment may hold. A guess. */
const MOST_TOKENS = 2 ** 17;
/** Experts of a layer, and of a token. A guess. */
const MOST_EXPERTS = 4096;

/** @throws ConfigError for numbers that no trace has: of experts, tokens, a layer or a seed. */
function checkNumbers({ experts, topk, tokens, layer, seed }: TraceOptions): void {
  if (seed !== undefined) requireInteger('seed', seed, 0, MOST_SEED);
  if (experts !== undefined) requireInteger('experts', experts, 1, MOST_EXPERTS);
  if (topk !== undefined) requireInteger('topk', topk, 1, MOST_EXPERTS);
  if (tokens !== undefined) requireInteger('tokens', tokens, 0, MOST_TOKENS);
  if (layer !== undefined) requireInteger('layer', layer, 0);
}

/** @throws ConfigError for a name or file that is no trace, or one of other experts or another top-k than asked for. */
export async function loadTrace(options: TraceOptions): Promise<LoadedTrace> {
  checkNumbers(options);
  const { experts, topk, tokens = DEFAULTS.tokens, layer, pick, seed = TRACE_SEED } = options;
  const bundled = Object.hasOwn(BUNDLED_TRACES, options.trace) ? BUNDLED_TRACES[options.trace] : undefined;
  const trace = bundled ?? options.trace;
  if (isGenerator(trace)) {
    if (layer !== undefined || pick !== undefined) {
      throw new ConfigError(
        `${layer === undefined ? '--pick' : '--layer'} would do nothing: ${trace} is made up. Leave it out.`,
      );
    }
    const spec = parseGenerator(trace);
    const [numExperts, topK] = [experts ?? DEFAULTS.experts, topk ?? DEFAULTS.topk];
    const choices = generateChoices(spec, { numTokens: tokens, numExperts, topK, seed });
    const facts = { ids: 'generated', scores: 'generated' } as const;
    return { name: formatGenerator(spec), generator: spec, facts, choices };
  }
  const found = picked(await readTraces(trace), trace, options);
  const chosen = layerOf(found, layer, pick);
  const sizes = { numExperts: found.numExperts, topK: found.topK, most: tokens, seed };
  const { choices, facts } = replayLayer(chosen, sizes);
  checkChoices(choices);
  const words = [found.model, `layer ${chosen.layer}`, chosen.name].filter((word) => word !== '');
  return { name: words.map(printable).join(', '), layer: chosen.layer, facts, choices };
}

/** Not a path: 'zipf:1.2', and a mistyped name of one too, so that it is not looked for among the files. */
function isGenerator(text: string): boolean {
  return (
    !/[/\\.](?!\d)/.test(text) ||
    TRACE_GENERATORS.some((name) => text === name || text.startsWith(`${name}:`))
  );
}

/** All traces of a file. @throws ConfigError */
export async function readTraces(path: string): Promise<RoutingTrace[]> {
  const bytes = await platformHere().readFile(path, MOST_TRACE_BYTES);
  const first = bytes.find((byte) => byte > 32);
  if (first === 0x7b) return [traceFromJson(parseStrictJson(bytes, path, { deepest: 16 }), path)];
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError(`${path} is no text, so no routing trace.`);
  }
  return importTraces(text, path);
}

function picked(
  traces: readonly RoutingTrace[],
  path: string,
  { experts, topk, pick }: Pick<TraceOptions, 'experts' | 'topk' | 'pick'>,
): RoutingTrace {
  const words = (pick ?? '').split(/\s+/).filter((word) => word !== '');
  const named = traces.filter(({ model, layers }) =>
    words.every((word) => model.includes(word) || layers.some(({ name }) => name.includes(word))),
  );
  if (named.length === 0) {
    const models = traces.map(({ model }) => quoted(model)).join(', ');
    throw new ConfigError(`${path} has nothing that is called ${quoted(pick)}. There are: ${models}.`);
  }
  const fits = (trace: RoutingTrace): boolean =>
    (experts === undefined || trace.numExperts === experts) && (topk === undefined || trace.topK === topk);
  const found = named.find(fits);
  if (found !== undefined) return found;
  const { numExperts, topK } = at(named, 0);
  throw new ConfigError(
    `${path} is a trace of ${numExperts} experts and top-${topK}, not of ${experts ?? numExperts} and top-${topk ?? topK}. ` +
      `Leave --experts and --topk out, or take another trace.`,
  );
}

/** The most uneven one when none is named. */
function layerOf({ layers }: RoutingTrace, layer: number | undefined, pick: string | undefined): TraceLayer {
  const words = (pick ?? '')
    .split(/\s+/)
    .filter((word) => layers.some(({ name }) => word !== '' && name.includes(word)));
  const named = layers.filter(({ name }) => words.every((word) => name.includes(word)));
  const asked = layer === undefined ? named : named.filter((one) => one.layer === layer);
  if (asked.length === 0) {
    const there = [...new Set(named.map((one) => one.layer))].slice(0, 40).join(', ');
    throw new ConfigError(`the trace has no layer ${layer}. There are: ${there}.`);
  }
  const skew = asked.map(({ count_E }) => maxOverMean(count_E));
  return at(asked, skew.indexOf(maxOf(skew)));
}
