/** Routing that others have published, by the form of their tables. */
import { csvParse } from 'd3-dsv';
import { ConfigError } from '../../core/errors.ts';
import { requireGiven } from '../../core/given.ts';
import { at, range, sum } from '../../core/math.ts';
import { quoted } from '../../core/text/quoted.ts';
import { checkTrace, countIds, type RoutingTrace, type TraceLayer } from './trace.ts';

/**
 * The traces in a text: ids in letters (`# tokens 2048 ...; top-6 of 64 experts; one line per MoE layer 1..26; ...`), counts
 * (`layer` and `e0`, `e1`, ... columns, with `tokens` or `selections`), or pairs of experts in two layers
 * (`from_layer`, `to_layer`, `from_expert`, `e0`, ...).
 * @throws ConfigError for a text of none of these forms, or one that contradicts itself.
 */
export function importTraces(text: string, label: string): RoutingTrace[] {
  requireGiven('The text', text, 'string');
  const first = text.slice(0, 4096).split('\n', 1).join('');
  if (first.startsWith('#') && first.includes('top-')) return [lettersTrace(text, label)];
  if (first.includes('from_layer,to_layer,from_expert')) return [pairsTrace(text, label)];
  if (/(^|,)layer,(.*,)?e0,/.test(first)) return countTraces(text, label);
  throw new ConfigError(
    `${label} begins with ${quoted(first)}, which is no routing trace that is known: JSON of moebius, ids in letters, ` +
      `or a table with the columns layer, e0, e1 and so on.`,
  );
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function lettersTrace(text: string, label: string): RoutingTrace {
  const [head = '', ...lines] = text.split('\n').filter((line) => line.trim() !== '');
  const found = /tokens (\d+).*top-(\d+) of (\d+) experts; one line per MoE layer (\d+)\.\.(\d+);/.exec(head);
  if (found === null) {
    throw new ConfigError(
      `${label}: its first line must say tokens, top-k, experts and layers; it is ${quoted(head)}.`,
    );
  }
  const [numTokens = 0, topK = 0, numExperts = 0, from = 0, to = 0] = found.slice(1).map(Number);
  if (numExperts > ALPHABET.length || lines.length !== to - from + 1) {
    throw new ConfigError(
      `${label} has ${lines.length} lines for the layers ${from} to ${to} of ${numExperts} experts; there must be one a layer, ` +
        `and at most ${ALPHABET.length} experts.`,
    );
  }
  const layers = lines.map((line, i): TraceLayer => {
    const letters = line.trim();
    const wrong = /[^A-Za-z0-9+/]/.exec(letters);
    if (wrong !== null || letters.length !== numTokens * topK) {
      const what = wrong === null ? `${letters.length} letters` : `the letter ${quoted(wrong[0])}`;
      throw new ConfigError(
        `${label}: layer ${from + i} has ${what}; ${numTokens} x ${topK} of A-Za-z0-9+/ are needed.`,
      );
    }
    const ids_TK = Uint32Array.from(letters, (letter) => ALPHABET.indexOf(letter));
    return { layer: from + i, name: '', numTokens, ids_TK, count_E: countIds(ids_TK, numExperts, topK) };
  });
  return checked({ model: 'ids in letters', source: label, numExperts, topK, layers }, label);
}

type Row = Readonly<Record<string, string | undefined>>;

function rowsOf(text: string): Row[] {
  // A line that begins with # tells where the table is from.
  return [...csvParse(text.replace(/^#.*\n/gm, ''))];
}

function expertsOf(row: Row, where: string): number[] {
  const values: number[] = [];
  for (let e = 0; row[`e${e}`] !== undefined && row[`e${e}`] !== ''; e++)
    values.push(numberOf(row, `e${e}`, where));
  return values;
}

function numberOf(row: Row, name: string, where: string): number {
  const text = row[name] ?? '';
  const value = text.trim() === '' ? NaN : Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new ConfigError(`${where}: ${name} is ${quoted(text)}; it must be a whole number of at least 0.`);
}

/** Choices a token where a table tells only how many were made: of the published tables' models. */
const TOP_K: readonly (readonly [model: RegExp, topK: number])[] = [
  [/mixtral/i, 2],
  [/olmoe/i, 8],
];

/** A trace for each model, and each `which` of it. */
function countTraces(text: string, label: string): RoutingTrace[] {
  const traces = new Map<string, { numExperts: number; topK: number; layers: TraceLayer[] }>();
  rowsOf(text).forEach((row, i) => {
    const where = `${label}, row ${i + 1}`;
    const count_E = expertsOf(row, where);
    const model = [row['model'], row['which']].filter((part) => part !== undefined).join(' ');
    const topK = topKOf(row, sum(count_E), where);
    const trace = traces.get(model) ?? { numExperts: count_E.length, topK, layers: [] };
    traces.set(model, trace);
    if (trace.topK !== topK || trace.numExperts !== count_E.length) {
      throw new ConfigError(`${where} has ${count_E.length} experts and top-${topK}, rows before it others.`);
    }
    const name = row['domain'] ?? '';
    trace.layers.push({
      layer: numberOf(row, 'layer', where),
      name,
      numTokens: sum(count_E) / topK,
      count_E,
    });
  });
  if (traces.size === 0) throw new ConfigError(`${label} has no rows.`);
  return [...traces].map(([model, trace]) => checked({ model, source: label, ...trace }, label));
}

function topKOf(row: Row, total: number, where: string): number {
  if (row['tokens'] !== undefined) return total / numberOf(row, 'tokens', where);
  if (row['which'] === 'top1') return 1;
  const known = TOP_K.find(([model]) => model.test(row['model'] ?? ''));
  if (known !== undefined) return known[1];
  throw new ConfigError(
    `${where}: without a column tokens, top-k of ${quoted(row['model'] ?? '')} is not known.`,
  );
}

/** Pairs count a token once for every two experts it took, so a layer's rows are sums of them over K. */
function pairsTrace(text: string, label: string): RoutingTrace {
  const tables = new Map<string, { fromLayer: number; toLayer: number; count_EE: number[][] }>();
  rowsOf(text).forEach((row, i) => {
    const where = `${label}, row ${i + 1}`;
    const [fromLayer, toLayer] = [numberOf(row, 'from_layer', where), numberOf(row, 'to_layer', where)];
    const key = `${fromLayer} ${toLayer}`;
    const table = tables.get(key) ?? { fromLayer, toLayer, count_EE: [] };
    tables.set(key, table);
    if (numberOf(row, 'from_expert', where) !== table.count_EE.length) {
      throw new ConfigError(`${where}: the experts of layer ${fromLayer} must come in order.`);
    }
    table.count_EE.push(expertsOf(row, where));
  });
  const transitions = [...tables.values()];
  const numExperts = at(transitions, 0)?.count_EE.length ?? 0;
  if (
    transitions.some(
      ({ count_EE }) => count_EE.length !== numExperts || count_EE.some((row) => row.length !== numExperts),
    )
  ) {
    throw new ConfigError(
      `${label}: every pair of layers needs a row and a column for each of the ${numExperts} experts.`,
    );
  }
  const layers = new Map<number, number[]>();
  for (const { fromLayer, toLayer, count_EE } of transitions) {
    layers.set(
      fromLayer,
      count_EE.map((row) => sum(row)),
    );
    layers.set(
      toLayer,
      range(numExperts).map((e) => sum(count_EE.map((row) => at(row, e)))),
    );
  }
  return {
    model: 'pairs of layers',
    source: label,
    numExperts,
    topK: 1,
    transitions,
    layers: pairLayers(layers),
  };
}

/** As shares of one choice a token: the table does not tell how many were made. */
function pairLayers(layers: ReadonlyMap<number, number[]>): TraceLayer[] {
  return [...layers].map(([layer, count_E]) => ({ layer, name: '', numTokens: sum(count_E), count_E }));
}

function checked(trace: RoutingTrace, label: string): RoutingTrace {
  checkTrace(trace, label);
  return trace;
}
