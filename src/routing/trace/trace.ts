/**
 * Recorded routing, and its file: one JSON object.
 *
 *     { "format": "moebius-routing-trace", "version": 1, "model": "tiny-moe", "source": "...",
 *       "numExperts": 16, "topK": 2,
 *       "layers": [{ "layer": 0, "name": "", "numTokens": 3, "count": [2, 1, ...], "ids": "AAEAAgEA" }] }
 *
 * `count` is the rows of each expert, [E]; they add up to numTokens topK. `ids`, which may be left out, is [T, K] in base64: a
 * byte each up to 256 experts, else two, the lower first. `scores`, which may be too, is [T, K] f32, little-endian, in base64.
 */
import { ConfigError, messageOf } from '../../core/errors.ts';
import { requireFields, requireKnown } from '../../core/given.ts';
import { at, range, sum } from '../../core/math.ts';
import { quoted } from '../../core/text/quoted.ts';
import { checkChoices } from '../choices.ts';

/** The routing of one layer: how many rows each expert had, and where it was recorded who had which. */
export interface TraceLayer {
  readonly layer: number;
  /** What tells it from others of the same layer: a domain, a text. */
  readonly name: string;
  readonly numTokens: number;
  /** [E] */
  readonly count_E: readonly number[];
  /** [T, K] */
  readonly ids_TK?: Uint32Array | undefined;
  readonly scores_TK?: Float32Array | undefined;
}

/** How often a token that one expert of a layer took went to an expert of a later one, [E, E]. */
export interface Transitions {
  readonly fromLayer: number;
  readonly toLayer: number;
  readonly count_EE: readonly (readonly number[])[];
}

/** Routing of some layers of a model on some text. */
export interface RoutingTrace {
  readonly model: string;
  readonly source: string;
  readonly numExperts: number;
  readonly topK: number;
  readonly layers: readonly TraceLayer[];
  readonly transitions?: readonly Transitions[] | undefined;
}

export const TRACE_FORMAT = 'moebius-routing-trace';
export const TRACE_VERSION = 1;

/** What a trace file may have; far more than any text's. A guess. */
export const MOST_TRACE_BYTES = 16 * 2 ** 20;
/** Guesses, as is the next; no model has a quarter. */
const MOST_EXPERTS = 65_536;
const MOST_LAYERS = 4096;

/** Rows of each expert. @throws ConfigError for ids that are no experts or come twice in a token. */
export function countIds(ids_TK: ArrayLike<number>, numExperts: number, topK: number): number[] {
  checkChoices({ numExperts, topK, ids_TK, scores_TK: new Float64Array(ids_TK.length) });
  const count = range(numExperts).map(() => 0);
  for (let i = 0; i < ids_TK.length; i++) count[at(ids_TK, i)] = at(count, at(ids_TK, i)) + 1;
  return count;
}

/** @throws ConfigError when counts, ids and scores of a layer do not fit each other. */
export function checkTrace(trace: RoutingTrace, label: string): void {
  const { numExperts, topK, layers } = trace;
  const refuse = (what: string): never => {
    throw new ConfigError(`${label}: ${what}. Record or export the trace again.`);
  };
  const whole = (n: unknown, least: number, most: number): boolean =>
    Number.isInteger(n) && (n as number) >= least && (n as number) <= most;
  if (!whole(numExperts, 1, MOST_EXPERTS)) refuse(`numExperts is ${quoted(numExperts)}`);
  if (!whole(topK, 1, numExperts)) refuse(`topK is ${quoted(topK)} of ${numExperts} experts`);
  if (layers.length === 0 || layers.length > MOST_LAYERS) refuse(`it has ${layers.length} layers`);
  for (const { layer, numTokens, count_E, ids_TK, scores_TK } of layers) {
    const where = `layer ${quoted(layer)}`;
    if (!whole(layer, 0, 1e6)) refuse(`${where} must be a whole number`);
    if (!whole(numTokens, 0, 2 ** 40)) refuse(`${where} has ${quoted(numTokens)} tokens`);
    if (count_E.length !== numExperts)
      refuse(`${where} has ${count_E.length} counts for ${numExperts} experts`);
    const wrong = count_E.findIndex((n) => !whole(n, 0, numTokens));
    if (wrong !== -1) {
      refuse(`${where} has the count ${quoted(count_E[wrong])} for expert ${wrong} and ${numTokens} tokens`);
    }
    if (sum(count_E) !== numTokens * topK) {
      refuse(`the counts of ${where} add up to ${sum(count_E)}, not to ${numTokens} tokens x ${topK}`);
    }
    if (ids_TK !== undefined) {
      if (ids_TK.length !== numTokens * topK)
        refuse(`${where} has ${ids_TK.length} ids for ${numTokens} tokens x ${topK}`);
      let counted: number[] = [];
      try {
        counted = countIds(ids_TK, numExperts, topK);
      } catch (error) {
        refuse(`${where}: ${messageOf(error).replace(' of source 0', '').replace(/\.$/, '')}`);
      }
      const differs = counted.findIndex((n, e) => n !== count_E[e]);
      if (differs !== -1) refuse(`the count of expert ${differs} in ${where} is not that of its ids`);
    }
    if (scores_TK === undefined) continue;
    if (ids_TK === undefined) refuse(`${where} has scores but no ids`);
    if (scores_TK.length !== numTokens * topK) refuse(`${where} has ${scores_TK.length} scores`);
    const bad = scores_TK.findIndex((score) => !(score >= 0 && score < Infinity));
    if (bad !== -1) refuse(`token ${Math.floor(bad / topK)} of ${where} has the score ${scores_TK[bad]}`);
  }
}

/** The file's text. */
export function writeTrace(trace: RoutingTrace): string {
  requireFields('The trace', trace, { numExperts: 'number', topK: 'number', layers: 'list' });
  checkTrace(trace, 'The trace');
  const { model, source, numExperts, topK, layers, transitions } = trace;
  const lines = layers.map(({ layer, name, numTokens, count_E, ids_TK, scores_TK }) =>
    JSON.stringify({
      ...{ layer, name, numTokens, count: count_E },
      ...(ids_TK && { ids: toBase64(idBytes(ids_TK, numExperts)) }),
      ...(scores_TK && { scores: toBase64(new Uint8Array(Float32Array.from(scores_TK).buffer)) }),
    }),
  );
  const head = { format: TRACE_FORMAT, version: TRACE_VERSION, model, source, numExperts, topK };
  const more = transitions === undefined ? '' : `,\n"transitions": ${JSON.stringify(transitions)}`;
  return `${JSON.stringify(head).slice(0, -1)},\n"layers": [\n${lines.join(',\n')}\n]${more}}\n`;
}

/** The trace in a JSON value. @param label names the file in messages. @throws ConfigError for anything else. */
export function traceFromJson(value: unknown, label: string): RoutingTrace {
  const fields = objectOf(value, label);
  if (fields['format'] !== TRACE_FORMAT) {
    throw new ConfigError(
      `${label} is no routing trace: its format is ${quoted(fields['format'])}, not "${TRACE_FORMAT}".`,
    );
  }
  if (fields['version'] !== TRACE_VERSION) {
    throw new ConfigError(
      `${label} is a trace of version ${quoted(fields['version'])}; this release reads ${TRACE_VERSION}.`,
    );
  }
  requireKnown(fields, HEAD_KEYS, label);
  const numExperts = fields['numExperts'] as number;
  const layers = listOf(fields['layers'], `${label}: layers`).map((entry, i) => {
    const layer = objectOf(entry, `${label}: layer entry ${i}`);
    requireKnown(layer, LAYER_KEYS, `${label}: layer entry ${i}`);
    const where = `${label}: layer ${quoted(layer['layer'])}`;
    const { ids, scores } = layer;
    return {
      layer: layer['layer'] as number,
      name: textOf(layer['name'] ?? '', `${where}: name`),
      numTokens: layer['numTokens'] as number,
      count_E: listOf(layer['count'], `${where}: count`) as number[],
      ids_TK: ids === undefined ? undefined : idsOf(fromBase64(ids, `${where}: ids`), numExperts, where),
      scores_TK: scores === undefined ? undefined : floatsOf(fromBase64(scores, `${where}: scores`), where),
    };
  });
  const trace: RoutingTrace = {
    model: textOf(fields['model'] ?? '', `${label}: model`),
    source: textOf(fields['source'] ?? '', `${label}: source`),
    ...{ numExperts, topK: fields['topK'] as number, layers },
    transitions: fields['transitions'] as RoutingTrace['transitions'],
  };
  checkTrace(trace, label);
  return trace;
}

const HEAD_KEYS = ['format', 'version', 'model', 'source', 'numExperts', 'topK', 'layers', 'transitions'];
const LAYER_KEYS = ['layer', 'name', 'numTokens', 'count', 'ids', 'scores'];

function objectOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new ConfigError(`${what} is ${quoted(value)}; it must be an object.`);
}

function listOf(value: unknown, what: string): unknown[] {
  if (Array.isArray(value)) return value as unknown[];
  throw new ConfigError(`${what} is ${quoted(value)}; it must be a list.`);
}

function textOf(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  throw new ConfigError(`${what} is ${quoted(value)}; it must be a text.`);
}

function idBytes(ids: Uint32Array, numExperts: number): Uint8Array {
  if (numExperts <= 256) return Uint8Array.from(ids);
  return Uint8Array.from(range(2 * ids.length).map((i) => (at(ids, i >> 1) >> (8 * (i % 2))) & 255));
}

function idsOf(bytes: Uint8Array, numExperts: number, where: string): Uint32Array {
  if (numExperts <= 256) return Uint32Array.from(bytes);
  if (bytes.length % 2 !== 0) throw new ConfigError(`${where}: ids of two bytes have ${bytes.length} bytes.`);
  return Uint32Array.from(
    { length: bytes.length / 2 },
    (_, i) => at(bytes, 2 * i) + 256 * at(bytes, 2 * i + 1),
  );
}

function floatsOf(bytes: Uint8Array, where: string): Float32Array {
  if (bytes.length % 4 !== 0)
    throw new ConfigError(`${where}: scores of four bytes have ${bytes.length} bytes.`);
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(at(bytes, i));
  return btoa(text);
}

function fromBase64(value: unknown, what: string): Uint8Array {
  try {
    return Uint8Array.from(atob(textOf(value, what)), (char) => char.charCodeAt(0));
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`${what} are not base64: ${quoted(value, 30)}.`);
  }
}
