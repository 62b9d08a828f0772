/** Links of a named hardware between virtual ranks: waits by hand, in the account of ranks and in the timeline. */
import { expect, test } from 'vitest';
import { profile } from '../../src/cli/verbs/profile.ts';
import { sum } from '../../src/core/math.ts';
import { hardwareNamed } from '../../src/hardware/profiles/named.ts';
import { timeOf } from '../../src/hardware/time-of.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { linksOf } from '../../src/profile/links.ts';
import { clusterOf } from '../../src/profile/run.ts';
import { timelineOf, type TimelineEvent } from '../../src/profile/timeline/timeline.ts';
import { renderRanks } from '../../src/report/terminal/profile/ranks.ts';
import { PLAIN } from '../../src/report/terminal/style.ts';
import type { StepSpan, StepSpanTime } from '../../src/runtime/step/span.ts';
import { loadTinyMoe } from '../model/tiny-moe.ts';

/** Passes of four ranks, each 100 ns after the one before. */
function passes(...tags: readonly Partial<StepSpan>[]): StepSpanTime[] {
  return tags.map((change, i) => {
    const tag = {
      ...{ stage: 0, layer: 0, microBatch: 0, operation: '', ranks: { first: 0, count: 4 } },
      ...{ rows: 4, rowsOf: [2, 2, 0, 0], flop: 8, bytes: 16 },
      ...change,
    };
    const at = BigInt(100 * i);
    return { tag, part: undefined, kernel: undefined, beginNs: at, endNs: at + 80n, ns: 80 };
  });
}

const usual = { submits: [], host: [], hostNs: 0 };
const h100 = hardwareNamed('h100-sxm');
const { config } = await loadTinyMoe();
const layout = planLayout(parseLayout('ep=4,pp=2,tp=2,dp=1'), config);
const row = 4 * config.modelDim;
const spans = passes(
  { operation: 'reduce-scatter', rowsOf: [5, 5, 0, 0], rows: 10 },
  { operation: 'all-to-all' },
  { operation: 'experts', rowsOf: undefined },
  { operation: 'attention', stage: 1, rowsOf: [5, 5, 0, 0], rows: 10 },
);
const expertRows = [{ stage: 0, layer: 0, microBatch: 0, rows: [0, 1, 0, 7] }];
const pieces = [{ ...usual, spans, expertRows }];

test('by hand: a group waits for its fullest member, a send for its own rows, and what has none waits for nobody', () => {
  const links = linksOf(layout, h100);
  const cluster = clusterOf({ pieces }, links);
  const ns = (op: 'alltoall' | 'reduce_scatter', bytes: number, ranks: number): number =>
    1e3 * timeOf({ op, bytes, ranks, nodes: 1 }, h100).us;
  // 7 rows are received by one rank; at most 2 x 2 are sent by one.
  const scatter = ns('reduce_scatter', 5 * row, 2);
  const exchange = ns('alltoall', 7 * row, 4);
  const send = ns('alltoall', 2 * 5 * row, 2);
  const waits = cluster.slices.filter(({ source }) => source === 'modelled');
  expect(waits.map(({ operation, rank, ns: own, bytes }) => [operation, rank, own, bytes])).toEqual([
    ...[0, 1].flatMap((rank) => [
      ['reduce-scatter', rank, scatter, (5 * row) / 2],
      ['all-to-all', rank, exchange, (2 * config.topK * row * 3) / 4],
      ['send', rank, send, 5 * row],
    ]),
    ...[2, 3].map((rank) => ['all-to-all', rank, exchange, 0]),
  ]);
  // The slowest rank of each operation, then its links; stage 1 begins when the last row is there.
  const free = clusterOf({ pieces });
  expect(cluster.wallNs).toBeCloseTo(free.wallNs + scatter + exchange + send, 3);
  const begin = (of: typeof cluster): number => of.slices.find(({ stage }) => stage === 1)?.beginNs ?? NaN;
  expect(begin(cluster)).toBeCloseTo(begin(free) + scatter + exchange + send, 3);
  for (const { rank, stage, computeNs, communicationNs, linkNs = NaN, bubbleNs, idleNs } of cluster.ranks) {
    expect(computeNs + communicationNs + linkNs + bubbleNs + idleNs).toBeCloseTo(cluster.wallNs, 3);
    expect(linkNs).toBeCloseTo(stage === 1 ? 0 : rank < 2 ? scatter + exchange + send : exchange, 3);
  }
  expect(free.ranks.every(({ linkNs }) => linkNs === undefined)).toBe(true);
  expect(
    links.exchanges().map(({ operation, ranks, nodes, bytes }) => [operation, ranks, nodes, bytes]),
  ).toEqual([
    ['reduce-scatter', 2, 1, 5 * row],
    ['all-to-all', 4, 1, 7 * row],
    ['send', 2, 1, 10 * row],
  ]);
});

test('nodes are filled in the order of ranks: what crosses them takes longer', () => {
  const wide = planLayout(parseLayout('ep=16,pp=4,tp=2,dp=2'), config);
  const links = linksOf(wide, h100);
  clusterOf({ pieces }, links);
  const tag = {
    ...spans[1]?.tag,
    ranks: { first: 0, count: 32 },
    rowsOf: Array<number>(32).fill(2),
  } as StepSpan;
  const [one] = links.model(tag, undefined);
  const near = timeOf({ op: 'alltoall', bytes: 4 * row, ranks: 16, nodes: 1 }, h100).us;
  const far = timeOf({ op: 'alltoall', bytes: 4 * row, ranks: 16, nodes: 2 }, h100).us;
  expect(one?.ns).toBe(1e3 * far);
  expect(far).toBeGreaterThan(near);
  expect(links.model({ ...tag, operation: 'attention' }, undefined)).toEqual([]);
});

test('in the timeline: tagged, in the place of free links, and flows leave from where rows do', () => {
  const cluster = clusterOf({ pieces }, linksOf(layout, h100));
  const timeline = timelineOf({ pieces }, cluster, (stage, rank) => `rank ${4 * stage + rank}`);
  const { tracks } = timeline;
  expect(tracks.find(({ name }) => name.startsWith('virtual cluster'))?.name).toBe(
    'virtual cluster, links of h100_sxm (modelled)',
  );
  const all: TimelineEvent[] = [...timeline.events()];
  const begins = all.flatMap((event) => (event.kind === 'begin' ? event : []));
  const links = begins.filter(({ categories }) => categories[0] === 'link');
  expect(links).toHaveLength(2 * 3 + 2);
  expect(
    links.every(({ name, categories }) => name.endsWith(' over links') && categories[1] === 'modelled'),
  ).toBe(true);
  const sends = begins.filter((event) => event.sends !== undefined);
  expect(sends.map(({ name }) => name)).toEqual(['send over links', 'send over links']);
  const received = begins.flatMap((event) => event.receives ?? []);
  expect(received).toEqual(sends.map((event) => event.sends));
  // Bytes are in flight while links are waited for.
  const counted = tracks.find(({ name, parent }) => name.startsWith('bytes in flight') && parent === 5)?.id;
  const bytes = all.flatMap((event) =>
    event.kind === 'count' && event.track === counted ? event.value : [],
  );
  expect(bytes.filter((value) => value > 0)).toEqual(
    [2 * 2.5 * row, 2 * 2 * config.topK * row * 0.75, 2 * 5 * row].map(Math.round),
  );
});

test('to a person: a column of its own, and each exchange with its interval and source', () => {
  const links = linksOf(layout, h100);
  const { ranks, wallNs } = clusterOf({ pieces }, links);
  const facts = {
    ...{ ranks: ranks.map((own) => ({ ...own, globalRank: own.rank })), clusterNs: wallNs },
    links: { hardware: h100.name, source: h100.source, exchanges: links.exchanges() },
  };
  const lines = renderRanks(facts, PLAIN);
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(lines[0]).toContain('links of h100_sxm');
  expect(lines.some((line) => /rank.*compute.*links.*bubble.*source/.test(line))).toBe(true);
  expect(lines.some((line) => /all-to-all +4 +1 .*(modelled|assumed)$/.test(line))).toBe(true);
  expect(sum(ranks.map(({ linkNs = 0 }) => linkNs))).toBeGreaterThan(0);
});

test('a name that there is not, and links of an op, are refused before any work', async () => {
  await expect(profile({ links: 'h1000' })).rejects.toThrow(/^there is no hardware "h1000"/);
  await expect(profile({ op: 'matmul', links: 'h100' })).rejects.toThrow(/^--links would do nothing/);
});
