/** The JSON of chrome://tracing: every group is a process, every track a thread. Perfetto's UI ignores their order. */
import type { Begin, End, Timeline, Track } from './timeline.ts';

const NS_PER_US = 1000;
const EVENTS_PER_CHUNK = 1024;

/** The file's text in pieces, each made when it is asked for. */
export function* chromeTrace(timeline: Timeline): Generator<string> {
  let chunk = '{"displayTimeUnit":"ns","traceEvents":[';
  let count = 0;
  for (const entry of entriesOf(timeline)) {
    chunk += `${count === 0 ? '\n' : ',\n'}${JSON.stringify(entry)}`;
    count += 1;
    if (count % EVENTS_PER_CHUNK === 0) {
      yield chunk;
      chunk = '';
    }
  }
  yield `${chunk}\n]}\n`;
}

function* entriesOf(timeline: Timeline): Generator<object> {
  const { tracks } = timeline;
  const byId = new Map(tracks.map((track) => [track.id, track]));
  const groupOf = (track: Track): Track => {
    const parent = byId.get(track.parent ?? 0);
    return parent === undefined ? track : groupOf(parent);
  };
  const process = new Map(tracks.map((track) => [track.id, groupOf(track).id]));
  for (const [order, { id, name, parent, counts }] of tracks.entries()) {
    if (counts !== undefined) continue;
    const pid = process.get(id);
    const what = parent === undefined ? 'process' : 'thread';
    yield { ph: 'M', pid, tid: id, name: `${what}_name`, args: { name } };
    yield { ph: 'M', pid, tid: id, name: `${what}_sort_index`, args: { sort_index: order } };
  }
  // Counters go by name and process: with the stage in front each has a name of its own.
  const counterName = (track: Track | undefined): string =>
    `${byId.get(track?.parent ?? 0)?.name ?? ''} ${track?.name ?? ''}`;
  for (const event of timeline.events()) {
    const pid = process.get(event.track);
    if (event.kind === 'count') {
      const [name, ts] = [counterName(byId.get(event.track)), event.ns / NS_PER_US];
      yield { ph: 'C', pid, tid: event.track, ts, name, args: { value: event.value } };
    } else yield* entriesOfEvent(event, pid);
  }
}

function* entriesOfEvent(event: Begin | End, pid: number | undefined): Generator<object> {
  const place = { pid, tid: event.track, ts: event.ns / NS_PER_US };
  if (event.kind === 'end') {
    yield { ph: 'E', ...place };
    return;
  }
  const { name, categories, args, sends, receives } = event;
  yield { ph: 'B', ...place, name, cat: categories.join(), ...(args && { args }) };
  const flow = { ...place, name: 'send', cat: 'flow' };
  if (sends !== undefined) yield { ph: 's', ...flow, id: sends };
  if (receives !== undefined) yield { ph: 'f', bp: 'e', ...flow, id: receives };
}
