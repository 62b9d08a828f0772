/** Reading a file that somebody named: whole, but never without end. */
import { constants, type Stats } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { codeOf } from '../../core/errors.ts';
import type { ByteFile } from '../platform.ts';

/** What one read of Node's takes. */
const MOST_BYTES = 2 ** 31 - 1;
/** What comes through a pipe has no size that could be looked at first. A guess. */
const MOST_OF_PIPE = 64 * 2 ** 20;
/** How long a named pipe may be without a writer. A guess. */
const WRITER_MS = 500;
/** Bytes of one read of a pipe. A guess. */
const CHUNK = 2 ** 18;

/** Why a file is not read; the caller adds which one. */
export class Unreadable extends Error {}

/**
 * The bytes of a plain file, or of a pipe until its writers close it. @param mostBytes that it may have.
 * @throws Unreadable for a folder, a device, a pipe that nobody writes to, and what is too long; a system's error.
 */
export async function readWhole(path: string, mostBytes = MOST_BYTES): Promise<Uint8Array> {
  refuseOddities(await stat(path));
  // A named pipe would keep the thread that opens it until there is a writer.
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const facts = await file.stat();
    refuseOddities(facts);
    if (facts.isFIFO()) return await readPipe(file, Math.min(mostBytes, MOST_OF_PIPE));
    if (facts.size > mostBytes) throw tooLong(`it has ${facts.size} bytes`, mostBytes);
    return facts.size === 0 ? await readUnsized(file, mostBytes) : await readSized(file, facts.size);
  } finally {
    await file.close();
  }
}

/** A plain file, open until it is closed: parts of it are read, of any size. @throws as `readWhole`. */
export async function openParts(path: string): Promise<ByteFile> {
  refuseOddities(await stat(path));
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const facts = await file.stat();
    refuseOddities(facts);
    if (!facts.isFile()) throw new Unreadable('it is a pipe, not a file, so no part of it can be looked up');
    return {
      size: facts.size,
      read: (begin, end) => readRun(file, begin, end - begin),
      readInto: (begin, into) => readInto(file, begin, into),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Bytes of one read of a part: a read of Node's takes less than 2 GiB. */
const MOST_AT_ONCE = 2 ** 28;

async function readRun(file: FileHandle, begin: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  const done = await readInto(file, begin, bytes);
  return done === length ? bytes : bytes.slice(0, done);
}

/** Fewer than asked for when the file ends before. */
async function readInto(file: FileHandle, begin: number, into: Uint8Array): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const length = Math.min(MOST_AT_ONCE, into.length - done);
    const { bytesRead } = await file.read(into, done, length, begin + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

function refuseOddities(facts: Stats): void {
  if (facts.isDirectory()) throw new Unreadable('it is a folder, name a file in it');
  if (facts.isCharacterDevice() || facts.isBlockDevice()) throw new Unreadable('it is a device, not a file');
  if (facts.isSocket()) throw new Unreadable('it is a socket, not a file');
}

function tooLong(what: string, mostBytes: number): Unreadable {
  return new Unreadable(`${what}, and at most ${mostBytes} are read from such a file`);
}

/** A file that has become shorter meanwhile gives what it has. */
async function readSized(file: FileHandle, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  let length = 0;
  while (length < size) {
    const { bytesRead } = await file.read(bytes, length, size - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return length === size ? bytes : bytes.slice(0, length);
}

/** The system's own files say that they are empty. */
function readUnsized(file: FileHandle, mostBytes: number): Promise<Uint8Array> {
  return gather(async (chunk) => (await file.read(chunk, 0, chunk.length, null)).bytesRead, mostBytes);
}

async function readPipe(file: FileHandle, mostBytes: number): Promise<Uint8Array> {
  const end = performance.now() + WRITER_MS;
  let begun = false;
  return gather(async (chunk) => {
    for (let wait = 1; ; wait = Math.min(50, 2 * wait)) {
      try {
        const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
        begun ||= bytesRead > 0;
        // Without a writer a pipe is at its end, before the first as after the last.
        if (bytesRead > 0 || begun) return bytesRead;
        if (performance.now() > end) throw new Unreadable('it is a pipe that nothing came through');
      } catch (error) {
        if (codeOf(error) !== 'EAGAIN') throw error;
      }
      await pause(wait);
    }
  }, mostBytes);
}

async function gather(read: (chunk: Uint8Array) => Promise<number>, mostBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const chunk = new Uint8Array(CHUNK);
    const bytesRead = await read(chunk);
    if (bytesRead === 0) break;
    length += bytesRead;
    if (length > mostBytes) throw tooLong('it does not end', mostBytes);
    chunks.push(bytesRead === CHUNK ? chunk : chunk.slice(0, bytesRead));
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
