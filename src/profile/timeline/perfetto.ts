/**
 * Perfetto's own format, whose UI ignores the order of tracks in JSON. Numbers are those of its protos, fields of
 * TracePacket, TrackEvent, TrackDescriptor and InternedData; names are written once and then go by number.
 */
import protobuf from 'protobufjs/minimal.js';
import type { Begin, Timeline, TimelineEvent, Track } from './timeline.ts';

type Writer = protobuf.Writer;

const PACKET = 1;
const Packet = {
  ...{ timestamp: 8, sequence: 10, trackEvent: 11, interned: 12, flags: 13, trackDescriptor: 60, first: 87 },
} as const;
const Descriptor = { uuid: 1, name: 2, parent: 5, counter: 8, childOrdering: 11, siblingRank: 12 } as const;
const Counter = { unit: 3, unitName: 6 } as const;
const Event = {
  ...{ categories: 3, annotations: 4, type: 9, name: 10, track: 11, count: 30, flows: 47, endsFlows: 48 },
} as const;
const Interned = { categories: 1, names: 2, annotationNames: 3 } as const;
const Annotation = { name: 1, int: 4 } as const;

const TYPES = { begin: 1, end: 2, count: 4 } as const;
/** Units of a counter that the UI knows. */
const UNITS = { rows: 2, bytes: 3 } as const;
const EXPLICIT = 3;
/** Flags of a packet: what was interned before is void, or needed. */
const [CLEARED, NEEDED] = [1, 2];
const SEQUENCE = 1;
const PACKETS_PER_CHUNK = 1024;

const [VARINT, FIXED64, BYTES] = [0, 1, 2];
const tag = (field: number, type: number): number => ((field << 3) | type) >>> 0;

/** The file's bytes in pieces, each made when it is asked for. */
export function* perfettoTrace(timeline: Timeline): Generator<Uint8Array> {
  let writer = protobuf.Writer.create();
  let packets = 0;
  const names = new Names();
  for (const content of contentsOf(timeline)) {
    writer.uint32(tag(PACKET, BYTES)).fork();
    if ('kind' in content) writeEvent(writer, content, names);
    else writeTrack(writer, content);
    writer.uint32(tag(Packet.sequence, VARINT)).uint32(SEQUENCE);
    writer.uint32(tag(Packet.flags, VARINT)).uint32(packets === 0 ? CLEARED : NEEDED);
    if (packets === 0) writer.uint32(tag(Packet.first, VARINT)).bool(true);
    writer.ldelim();
    packets += 1;
    if (packets % PACKETS_PER_CHUNK === 0) {
      yield writer.finish();
      writer = protobuf.Writer.create();
    }
  }
  yield writer.finish();
}

function* contentsOf(timeline: Timeline): Generator<Track | TimelineEvent> {
  yield* timeline.tracks;
  yield* timeline.events();
}

function writeTrack(writer: Writer, { id, name, parent, rank, counts }: Track): void {
  writer.uint32(tag(Packet.trackDescriptor, BYTES)).fork();
  writer.uint32(tag(Descriptor.uuid, VARINT)).uint64(id);
  writer.uint32(tag(Descriptor.name, BYTES)).string(name);
  if (parent !== undefined) writer.uint32(tag(Descriptor.parent, VARINT)).uint64(parent);
  if (counts !== undefined) {
    writer.uint32(tag(Descriptor.counter, BYTES)).fork();
    writer.uint32(tag(Counter.unit, VARINT)).uint32(UNITS[counts]);
    if (counts === 'rows') writer.uint32(tag(Counter.unitName, BYTES)).string(counts);
    writer.ldelim();
  }
  writer.uint32(tag(Descriptor.childOrdering, VARINT)).uint32(EXPLICIT);
  writer.uint32(tag(Descriptor.siblingRank, VARINT)).uint32(rank);
  writer.ldelim();
}

function writeEvent(writer: Writer, event: TimelineEvent, names: Names): void {
  writer.uint32(tag(Packet.timestamp, VARINT)).uint64(event.ns);
  writer.uint32(tag(Packet.trackEvent, BYTES)).fork();
  writer.uint32(tag(Event.type, VARINT)).uint32(TYPES[event.kind]);
  writer.uint32(tag(Event.track, VARINT)).uint64(event.track);
  if (event.kind === 'begin') writeBegin(writer, event, names);
  if (event.kind === 'count') writer.uint32(tag(Event.count, VARINT)).int64(event.value);
  writer.ldelim();
  names.writeFresh(writer);
}

function writeBegin(
  writer: Writer,
  { name, categories, args = {}, sends, receives }: Begin,
  names: Names,
): void {
  writer.uint32(tag(Event.name, VARINT)).uint64(names.of('names', name));
  for (const category of categories) {
    writer.uint32(tag(Event.categories, VARINT)).uint64(names.of('categories', category));
  }
  for (const [key, value] of Object.entries(args)) {
    writer.uint32(tag(Event.annotations, BYTES)).fork();
    writer.uint32(tag(Annotation.name, VARINT)).uint64(names.of('annotationNames', key));
    writer.uint32(tag(Annotation.int, VARINT)).int64(value);
    writer.ldelim();
  }
  if (sends !== undefined) writer.uint32(tag(Event.flows, FIXED64)).fixed64(sends);
  if (receives !== undefined) writer.uint32(tag(Event.endsFlows, FIXED64)).fixed64(receives);
}

type Kind = keyof typeof Interned;

/** Numbers of names, from 1 on; a new one is told in the packet that uses it first. */
class Names {
  readonly #known: Record<Kind, Map<string, number>> = {
    ...{ names: new Map(), categories: new Map(), annotationNames: new Map() },
  };
  #fresh: { readonly kind: Kind; readonly name: string; readonly id: number }[] = [];

  of(kind: Kind, name: string): number {
    const known = this.#known[kind];
    const there = known.get(name);
    if (there !== undefined) return there;
    const id = known.size + 1;
    known.set(name, id);
    this.#fresh.push({ kind, name, id });
    return id;
  }

  writeFresh(writer: Writer): void {
    if (this.#fresh.length === 0) return;
    writer.uint32(tag(Packet.interned, BYTES)).fork();
    for (const { kind, name, id } of this.#fresh) {
      writer.uint32(tag(Interned[kind], BYTES)).fork();
      writer.uint32(tag(1, VARINT)).uint64(id);
      writer.uint32(tag(2, BYTES)).string(name);
      writer.ldelim();
    }
    writer.ldelim();
    this.#fresh = [];
  }
}
