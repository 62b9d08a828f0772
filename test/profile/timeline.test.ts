/** Timelines, decoded by a small schema of our own and by JSON: every begin has its end, and they nest. */
import { gunzipSync } from 'node:zlib';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import protobuf from 'protobufjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { profile } from '../../src/cli/verbs/profile.ts';
import { writeTrace } from '../../src/cli/files/trace-file.ts';
import { range, sum } from '../../src/core/math.ts';
import { clusterOf, type RunPiece } from '../../src/profile/run.ts';
import { chromeTrace } from '../../src/profile/timeline/chrome.ts';
import { perfettoTrace } from '../../src/profile/timeline/perfetto.ts';
import { timelineOf, type Timeline } from '../../src/profile/timeline/timeline.ts';
import type { StepSpanTime } from '../../src/runtime/step/span.ts';

/** Of Perfetto's protos, as far as it matters here. */
const SCHEMA = `
  syntax = "proto2";
  message Trace { repeated Packet packet = 1; }
  message Packet {
    optional uint64 timestamp = 8; optional uint32 trusted_packet_sequence_id = 10; optional Event track_event = 11;
    optional Interned interned_data = 12; optional uint32 sequence_flags = 13; optional Descriptor track_descriptor = 60;
    optional bool first_packet_on_sequence = 87;
  }
  message Event {
    repeated uint64 category_iids = 3; repeated Annotation debug_annotations = 4; optional uint32 type = 9;
    optional uint64 name_iid = 10; optional uint64 track_uuid = 11;
    optional int64 counter_value = 30; repeated fixed64 flow_ids = 47; repeated fixed64 terminating_flow_ids = 48;
  }
  message Annotation { optional uint64 name_iid = 1; optional int64 int_value = 4; }
  message Name { optional uint64 iid = 1; optional string name = 2; }
  message Interned {
    repeated Name event_categories = 1; repeated Name event_names = 2; repeated Name debug_annotation_names = 3;
  }
  message Counter { optional uint32 unit = 3; optional string unit_name = 6; }
  message Descriptor {
    optional uint64 uuid = 1; optional string name = 2; optional uint64 parent_uuid = 5; optional Counter counter = 8;
    optional uint32 child_ordering = 11; optional int32 sibling_order_rank = 12;
  }`;

interface Named {
  readonly iid: number;
  readonly name: string;
}
interface Packet {
  readonly timestamp?: number;
  readonly trustedPacketSequenceId: number;
  readonly sequenceFlags: number;
  readonly firstPacketOnSequence?: boolean;
  readonly internedData?: { readonly eventNames?: Named[]; readonly eventCategories?: Named[] };
  readonly trackDescriptor?: {
    readonly uuid: number;
    readonly name: string;
    readonly parentUuid?: number;
    readonly counter?: { readonly unit: number };
    readonly childOrdering: number;
    readonly siblingOrderRank: number;
  };
  readonly trackEvent?: {
    readonly type: number;
    readonly trackUuid: number;
    readonly counterValue?: number;
    readonly nameIid?: number;
    readonly categoryIids?: number[];
    readonly flowIds?: string[];
    readonly terminatingFlowIds?: string[];
  };
}

function decoded(bytes: Uint8Array): Packet[] {
  const type = protobuf.parse(SCHEMA).root.lookupType('Trace');
  const { packet } = type.toObject(type.decode(bytes), { longs: Number }) as { packet: Packet[] };
  return packet;
}

/** Times in ns by track and category of what lies deepest; and the flows. @throws where begins and ends do not nest. */
function walked(packets: readonly Packet[]) {
  const categories = new Map<number, string>();
  const names = new Map<number, string>();
  const open = new Map<number, { ns: number; kind: string; name: string }[]>();
  const busy = new Map<number, Map<string, number>>();
  const last = new Map<number, number>();
  const [sent, received]: [unknown[], unknown[]] = [[], []];
  const counts = new Map<number, number[]>();
  let events = 0;
  for (const { trackEvent, timestamp = 0, internedData } of packets) {
    for (const { iid, name } of internedData?.eventCategories ?? []) categories.set(iid, name);
    for (const { iid, name } of internedData?.eventNames ?? []) names.set(iid, name);
    if (trackEvent === undefined) continue;
    events += 1;
    const { type, trackUuid: track, nameIid = 0, categoryIids = [] } = trackEvent;
    if (!(timestamp >= (last.get(track) ?? 0))) throw new Error('times that go backwards');
    last.set(track, timestamp);
    if (type === 4) {
      counts.set(track, [...(counts.get(track) ?? []), trackEvent.counterValue ?? NaN]);
      continue;
    }
    const stack = open.get(track) ?? [];
    open.set(track, stack);
    if (type === 1) {
      const [kind = 0] = categoryIids;
      const found = [categories.get(kind), names.get(nameIid)];
      if (found.includes(undefined)) throw new Error('a name that was never told');
      stack.push({ ns: timestamp, kind: found[0] ?? '', name: found[1] ?? '' });
      sent.push(...(trackEvent.flowIds ?? []));
      received.push(...(trackEvent.terminatingFlowIds ?? []));
    } else {
      const begun = stack.pop();
      if (begun === undefined) throw new Error('an end without a begin');
      const times = busy.get(track) ?? new Map<string, number>();
      busy.set(track, times.set(begun.kind, (times.get(begun.kind) ?? 0) + timestamp - begun.ns));
    }
  }
  expect([...open.values()].every((stack) => stack.length === 0)).toBe(true);
  return { busy, sent, received, events, counts };
}

const [STAGES, RANKS, BATCHES, LAYERS] = [4, 32, 16, 4];
const OPERATIONS = ['attention', 'route', 'all-to-all', 'experts', 'combine', 'all-gather'];

/** 128 ranks and 16 micro-batches, each pass split over the ranks of its stage by rows that differ. */
function bigStep(): RunPiece {
  const spans: StepSpanTime[] = [];
  let now = 0;
  for (const clock of range(STAGES + BATCHES - 1)) {
    for (const stage of range(STAGES).reverse()) {
      const microBatch = clock - stage;
      if (microBatch < 0 || microBatch >= BATCHES) continue;
      for (const layer of range(LAYERS)) {
        for (const [i, operation] of OPERATIONS.entries()) {
          const rowsOf = range(RANKS).map((rank) => 1 + ((rank + microBatch) % 7));
          const tag = {
            ...{
              stage,
              layer: stage * LAYERS + layer,
              microBatch,
              operation,
              ranks: { first: 0, count: RANKS },
            },
            ...{ rows: sum(rowsOf), rowsOf, flop: 1, bytes: 1000 },
          };
          const ns = 100_000 + 1000 * i;
          spans.push({
            ...{ tag, part: undefined, kernel: undefined, ns },
            ...{ beginNs: BigInt(now), endNs: BigInt(now + ns) },
          });
          now += ns + 500;
        }
      }
    }
  }
  return {
    spans,
    submits: [{ submittedNs: 5_000, doneNs: 10_000 + now, spans: { first: 0, count: spans.length } }],
    host: [
      { phase: 'plan', beginNs: 1_000, endNs: 4_000 },
      { phase: 'read-back', beginNs: 4_000, endNs: 10_000 + now },
    ],
    hostNs: 9_000 + now,
  };
}

/** V8's own, which is otherwise not to be had. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

const step = bigStep();
const cluster = clusterOf({ pieces: [step] });
const timeline: Timeline = timelineOf(
  { pieces: [step] },
  cluster,
  (stage, rank) => `rank ${stage * RANKS + rank}`,
);

describe('128 ranks and 16 micro-batches', () => {
  test('protobuf: nested, named, in order, small, and made in small pieces', () => {
    let [largest, bytes] = [0, 0];
    const pieces: Uint8Array[] = [];
    for (const piece of perfettoTrace(timeline)) {
      largest = Math.max(largest, piece.length);
      bytes += piece.length;
      pieces.push(piece);
    }
    expect(bytes).toBeLessThanOrEqual(8e6);
    expect(largest).toBeLessThanOrEqual(256 * 1024);
    const packets = decoded(Buffer.concat(pieces));
    expect(packets.filter(({ firstPacketOnSequence }) => firstPacketOnSequence)).toHaveLength(1);
    expect(packets[0]).toMatchObject({ firstPacketOnSequence: true, sequenceFlags: 1 });
    expect(packets.slice(1).every(({ sequenceFlags }) => sequenceFlags === 2)).toBe(true);
    const tracks = packets.flatMap(({ trackDescriptor }) => trackDescriptor ?? []);
    expect(tracks.filter(({ parentUuid }) => parentUuid === undefined)).toHaveLength(2);
    expect(tracks.every(({ childOrdering }) => childOrdering === 3)).toBe(true);
    const uuidOf = new Map(tracks.map(({ name, uuid }) => [name, uuid]));
    expect(range(128).every((rank) => uuidOf.has(`rank ${rank}`))).toBe(true);
    const { busy, sent, received, events, counts } = walked(packets);
    expect(events).toBeGreaterThan(90_000);
    const counters = tracks.filter(({ counter }) => counter !== undefined);
    expect(counters.map(({ name, counter }) => [name, counter?.unit])).toEqual(
      range(STAGES).flatMap(() => [
        ['expert rows, fullest rank', 2],
        ['expert rows, all ranks', 2],
        ['bytes in flight (modelled)', 3],
      ]),
    );
    const [fullest, all, inFlight] = counters.map(({ uuid }) => counts.get(uuid) ?? []);
    // 32 ranks of 1 to 7 rows: each micro-batch and layer has some on 7, and nothing in between.
    expect(fullest).toEqual(range(2 * BATCHES * LAYERS).map((i) => (i % 2 === 0 ? 7 : 0)));
    expect(all?.filter((rows) => rows > 0)).toEqual(
      range(BATCHES).flatMap((m) =>
        range(LAYERS).map(() => sum(range(RANKS).map((rank) => 1 + ((rank + m) % 7)))),
      ),
    );
    // Two operations of 1000 bytes a layer, one after the other; ranks with few rows have sent theirs first.
    expect(inFlight?.filter((bytes) => bytes === 1000)).toHaveLength(2 * BATCHES * LAYERS);
    expect(inFlight?.filter((bytes) => bytes === 0).length).toBeGreaterThanOrEqual(BATCHES * LAYERS);
    expect(inFlight?.filter((bytes) => !(bytes >= 0 && bytes <= 1000))).toEqual([]);
    expect(inFlight?.at(-1)).toBe(0);
    // A flow for each rank and micro-batch between two stages, from one place to one place.
    expect(sent).toHaveLength((STAGES - 1) * RANKS * BATCHES);
    expect(new Set(sent).size).toBe(sent.length);
    expect(new Set(received)).toEqual(new Set(sent));
    expect(received).toHaveLength(sent.length);
    for (const { stage, rank, computeNs, communicationNs } of cluster.ranks) {
      const own = busy.get(uuidOf.get(`rank ${stage * RANKS + rank}`) ?? 0);
      // Each slice is rounded to whole ns at both ends.
      const slack = BATCHES * LAYERS * OPERATIONS.length;
      expect(Math.abs((own?.get('compute') ?? 0) - computeNs)).toBeLessThanOrEqual(slack);
      expect(Math.abs((own?.get('communication') ?? 0) - communicationNs)).toBeLessThanOrEqual(slack);
    }
    expect(busy.get(uuidOf.get('GPU') ?? 0)?.get('gpu')).toBe(sum(step.spans.map(({ ns = 0 }) => ns)));
  });

  test('protobuf: in little time, and little of it is ever in memory', () => {
    const collected = collector();
    const live = (): number => {
      collected();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    const before = live();
    let [pieces, grown, ns] = [0, 0, 0];
    let began = performance.now();
    for (const piece of perfettoTrace(timeline)) {
      expect(piece.length).toBeGreaterThan(0);
      pieces += 1;
      if (pieces % 25 !== 0) continue;
      ns += performance.now() - began;
      grown = Math.max(grown, live() - before);
      began = performance.now();
    }
    expect(pieces).toBeGreaterThan(50);
    expect(grown).toBeLessThan(64e6);
    // A second is promised on a quiet machine.
    expect(ns + performance.now() - began).toBeLessThan(10_000);
  });

  test('JSON: the same events', () => {
    const text = [...chromeTrace(timeline)].join('');
    const { traceEvents } = JSON.parse(text) as { traceEvents: { ph: string; tid: number; ts: number }[] };
    const count = (ph: string): number => traceEvents.filter((event) => event.ph === ph).length;
    expect(count('B')).toBe(count('E'));
    expect(count('B') + count('E') + count('C')).toBe([...timeline.events()].length);
    expect([count('s'), count('f')]).toEqual([
      (STAGES - 1) * RANKS * BATCHES,
      (STAGES - 1) * RANKS * BATCHES,
    ]);
  });
});

test('the place of a trace is tried before any work', async () => {
  const asked = profile({ trace: join(tmpdir(), 'no', 'such', 'folder', 'x'), model: 'no such model' });
  await expect(asked).rejects.toThrow(/^cannot write .*Name another place with --trace\.$/);
});

test('without passes there is the host alone', () => {
  const bare = { ...step, spans: [], submits: [] };
  const alone = timelineOf({ pieces: [bare] }, clusterOf({ pieces: [bare] }), String);
  expect(alone.tracks.map(({ name }) => name)).toEqual(['device, as it ran', 'GPU', 'host']);
  expect([...alone.events()].map((event) => (event.kind === 'begin' ? event.name : 'end'))).toEqual([
    ...['plan', 'end', 'read-back', 'end'],
  ]);
});

describe('as a file', () => {
  let folder: string;
  beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'moebius-trace-'))));
  afterAll(() => rm(folder, { recursive: true }));
  const few = { ...step, spans: step.spans.slice(0, 5), submits: [] };
  const small = timelineOf({ pieces: [few] }, clusterOf({ pieces: [] }), String);

  test('the name says the format', async () => {
    const read = async (name: string): Promise<Buffer> => {
      await writeTrace(join(folder, name), small);
      return readFile(join(folder, name));
    };
    const proto = await read('a.pftrace');
    expect(decoded(proto).length).toBeGreaterThan(10);
    expect(gunzipSync(await read('a.pftrace.gz'))).toEqual(proto);
    const json = await read('a.json');
    expect(JSON.parse(json.toString())).toHaveProperty('traceEvents');
    expect(gunzipSync(await read('a.json.gz'))).toEqual(json);
  });

  test.each(['a', 'a.json', 'a.gz'])(
    '%s: what was there stays when writing fails',
    async (name) => {
      const path = join(folder, `kept-${name}`);
      await writeFile(path, 'precious');
      const failing: Timeline = {
        tracks: small.tracks,
        *events() {
          throw new Error('in the middle');
        },
      };
      await expect(writeTrace(path, failing)).rejects.toThrow('in the middle');
      expect(await readFile(path, 'utf8')).toBe('precious');
      expect((await readdir(folder)).filter((file) => file.endsWith('.tmp'))).toEqual([]);
    },
    10_000,
  );

  test('a place that cannot be written is refused in a line', async () => {
    await expect(writeTrace(join(folder, 'no', 'x'), small)).rejects.toThrow(
      /Name another place with --trace\./,
    );
    expect(await readdir(folder)).not.toContain('no');
  });
});
