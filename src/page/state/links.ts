/** Where one is, and with what: `#/layout?ep=16&pp=4`. What an address says is checked as what anybody types. */
import { computed, signal } from '@preact/signals';
import * as v from 'valibot';
import { didYouMean } from '../../core/text/near-names.ts';
import { quoted } from '../../core/text/quoted.ts';

/** Of a value in an address. A guess. */
const MOST_WORD = 300;
const Word = v.pipe(v.string(), v.maxLength(MOST_WORD));
/** A longer prompt is in no address: servers and messengers cut it. A guess. */
export const MOST_PROMPT = 2000;
const Whole = (least: number, most: number) =>
  v.pipe(
    v.string(),
    v.regex(/^\d{1,9}$/, 'must be a whole number'),
    v.transform(Number),
    v.minValue(least),
    v.maxValue(most),
  );
const Positive = v.pipe(
  v.string(),
  v.regex(/^\d{1,3}(\.\d{1,6})?$/, 'must be a number of 0 or more'),
  v.transform(Number),
);
const Milliseconds = Whole(0, 999_999_999);
const Axis = Whole(1, 65_536);
const Layout = {
  ...{ ep: v.optional(Axis), pp: v.optional(Axis), tp: v.optional(Axis), dp: v.optional(Axis) },
};

/** Of every route: its title, and what its address may say. */
export const ROUTES = {
  run: { title: 'Run', query: v.object({ seconds: v.optional(Whole(1, 3600)), ...Layout }) },
  kernels: {
    title: 'Kernels',
    query: v.object({
      ...{ family: v.optional(Word), variant: v.optional(Word), row: v.optional(Word) },
      seconds: v.optional(Whole(1, 3600)),
    }),
  },
  layout: {
    title: 'Layout',
    query: v.object({ ...Layout, preset: v.optional(Word), rank: v.optional(Whole(0, 65_535)) }),
  },
  search: {
    title: 'Search',
    query: v.object({
      ...{ model: v.optional(Word), hardware: v.optional(Word), gpus: v.optional(Word) },
      ...{ layout: v.optional(Word), ttft: v.optional(Milliseconds), tpot: v.optional(Milliseconds) },
      ...{ isl: v.optional(Whole(1, 2 ** 24)), osl: v.optional(Whole(1, 2 ** 24)) },
      concurrency: v.optional(Whole(0, 100_000)),
    }),
  },
  timeline: {
    title: 'Timeline',
    query: v.object({
      ...{ ...Layout, batch: v.optional(Whole(1, 256)), tokens: v.optional(Whole(1, 1024)) },
      step: v.optional(v.picklist(['prefill', 'decode'])),
    }),
  },
  validate: {
    title: 'Validate',
    query: v.object({ ...Layout, family: v.optional(Word), quick: v.optional(v.picklist(['0', '1'])) }),
  },
  generate: {
    title: 'Generate',
    query: v.object({
      ...{ ...Layout, tokens: v.optional(Whole(1, 4096)) },
      prompt: v.optional(v.pipe(v.string(), v.maxLength(MOST_PROMPT))),
      ...{ seed: v.optional(Whole(0, 999_999_999)), temperature: v.optional(Positive) },
      ...{ topk: v.optional(Whole(0, 999_999)), topp: v.optional(Positive), penalty: v.optional(Positive) },
      ...{ chat: v.optional(v.picklist(['1'])), layers: v.optional(Word) },
    }),
  },
  compare: { title: 'Compare', query: v.object({}) },
  adapter: { title: 'Adapter', query: v.object({}) },
} as const;
export type RouteName = keyof typeof ROUTES;
export const ROUTE_NAMES = Object.keys(ROUTES) as RouteName[];

export interface Place {
  readonly route: RouteName;
  readonly query: Readonly<Record<string, string | number>>;
  /** What is wrong with the address; then nothing of its query counts. */
  readonly fault?: string;
}

/** placeOf('#/layout?ep=8') = {route: 'layout', query: {ep: 8}} */
export function placeOf(hash: string): Place {
  const [, path = '', search = ''] = /^#?\/?([^?]*)\??(.*)$/s.exec(hash) ?? [];
  const name = path.replace(/\/$/, '');
  if (name === '') return { route: 'run', query: {} };
  if (!Object.hasOwn(ROUTES, name)) {
    const near = didYouMean(name, ROUTE_NAMES);
    return bad('run', `There is no page ${quoted(name)}${near}. There are: ${ROUTE_NAMES.join(', ')}.`);
  }
  const route = name as RouteName;
  const { entries } = ROUTES[route].query;
  const known = Object.keys(entries);
  const given = new URLSearchParams(search);
  const unknown = [...new Set(given.keys())].filter((key) => !known.includes(key));
  if (unknown.length > 0) {
    const has = known.length === 0 ? 'It knows none' : `Known are: ${known.join(', ')}`;
    const keys = unknown
      .slice(0, 4)
      .map((key) => quoted(key))
      .join(', ');
    return bad(
      route,
      `The address has ${keys}, which ${name} does not know${didYouMean(unknown[0] ?? '', known)}. ${has}.`,
    );
  }
  const twice = known.find((key) => given.getAll(key).length > 1);
  if (twice !== undefined) return bad(route, `The address has ${twice} twice. Give it once.`);
  const parsed = v.safeParse(ROUTES[route].query, Object.fromEntries(given));
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const key = v.getDotPath(issue) ?? '';
    return bad(route, `The address has ${key}=${quoted(given.get(key))}: ${issue.message.slice(0, 160)}.`);
  }
  const query = Object.fromEntries(
    Object.entries(parsed.output).filter(([, value]) => value !== undefined),
  ) as Place['query'];
  return { route, query };
}

function bad(route: RouteName, fault: string): Place {
  return { route, query: {}, fault: `${fault} The defaults are shown.` };
}

/** '#/layout?ep=8' */
export function linkTo(
  route: RouteName,
  query: Readonly<Record<string, string | number | undefined>> = {},
): string {
  const given = Object.entries(query).flatMap(([key, value]) =>
    value === undefined || value === '' ? [] : [[key, String(value)]],
  );
  const search = new URLSearchParams(given).toString();
  return `#/${route}${search === '' ? '' : `?${search}`}`;
}

const hash = signal(location.hash);
addEventListener('hashchange', () => (hash.value = location.hash));

export const place = computed(() => placeOf(hash.value));

/** The address says what is shown, without a further step of history. */
export function keepAddress(
  route: RouteName,
  query: Readonly<Record<string, string | number | undefined>>,
): void {
  const link = linkTo(route, query);
  if (link !== location.hash) history.replaceState(null, '', link);
}
