/** A timeline as a file: Perfetto's format, or JSON by its name, and gzipped by its name. It is never whole in memory. */
import { pipeline, Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { chromeTrace } from '../../profile/timeline/chrome.ts';
import { perfettoTrace } from '../../profile/timeline/perfetto.ts';
import type { Timeline } from '../../profile/timeline/timeline.ts';
import { writeWhole } from './files.ts';

/** What to do about a place that cannot be written. */
export const OTHER_TRACE = 'Name another place with --trace.';

/** @throws ConfigError when it cannot be written; what was there stays. */
export async function writeTrace(path: string, timeline: Timeline): Promise<void> {
  await writeWhole(path, { [Symbol.asyncIterator]: () => pieces(path, timeline) }, OTHER_TRACE);
}

async function* pieces(path: string, timeline: Timeline): AsyncGenerator<Uint8Array> {
  const asJson = /\.json(\.gz)?$/.test(path);
  const plain = Readable.from(asJson ? chromeTrace(timeline) : perfettoTrace(timeline));
  // A pipeline hands an error on, and who reads the end of it is told.
  const stream = path.endsWith('.gz') ? pipeline(plain, createGzip(), () => undefined) : plain;
  for await (const piece of stream as AsyncIterable<Uint8Array | string>) {
    yield typeof piece === 'string' ? Buffer.from(piece) : piece;
  }
}
