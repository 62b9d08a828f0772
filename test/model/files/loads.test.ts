/** Tensors that several ask for at a time are read once; a file that fails tells each of them. Tokenizers on any text. */
import fc from 'fast-check';
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { AbsentFileError } from '../../../src/core/errors.ts';
import { nodePlatform } from '../../../src/index.ts';
import { openCheckpoint } from '../../../src/model/checkpoint.ts';
import { weightNames } from '../../../src/model/config.ts';
import { readTokenizer } from '../../../src/model/text/read-tokenizer.ts';
import { FAMILIES, folderOf } from '../families/checkpoints.ts';

test('what is under way is not read again, and what was read stays right', async () => {
  let bytes = 0;
  const model = await openCheckpoint(folderOf('qwen3-moe'), nodePlatform(), {
    onRead: (count) => (bytes += count),
  });
  try {
    const [w1, w3] = [weightNames.expert(0, 0, 'w1'), weightNames.expert(0, 0, 'w3')];
    await Promise.all([model.load([w1]), model.load([w1, w3]), model.load([w3])]);
    const { modelDim, expertDim } = model.config;
    expect(bytes).toBe(2 * 2 * modelDim * expertDim);
    expect(model.get(w1).data).not.toEqual(model.get(w3).data);
    await model.load([w1, w3]);
    expect(bytes).toBe(2 * 2 * modelDim * expertDim);
  } finally {
    await model.close();
  }
});

const isFull = process.env.MOEBIUS_RUNS !== undefined;

test.each(FAMILIES)(
  '%s: ids of any text are text again, and a stream gives what the whole gives',
  async (name) => {
    const folder = {
      path: (file: string) => `${folderOf(name)}/${file}`,
      readFile: async (path: string) => {
        if (!path.endsWith('tokenizer.json')) throw new AbsentFileError(`${path} is not there`);
        return new Uint8Array(await readFile(path));
      },
    };
    const tokenizer = await readTokenizer(folder, 512);
    if (tokenizer === undefined) throw new Error(`${name} has no tokenizer`);
    const front = tokenizer.encode('');
    const streamed = (ids: readonly number[]): string => {
      const stream = tokenizer.stream();
      return ids.map((id) => stream.push(id)).join('') + stream.end();
    };
    const text = fc.string({ unit: fc.constantFrom(...'ab Z09\n.,!é日本語😀🏽‍\u0301ß'), maxLength: 24 });
    fc.assert(
      fc.property(fc.oneof(text, fc.string({ unit: 'grapheme', maxLength: 16 })), (given) => {
        const ids = tokenizer.encode(given);
        const whole = tokenizer.decode(ids);
        expect(streamed(ids)).toBe(whole);
        // What a tokenizer puts in front of every text is no part of it.
        const own = tokenizer.decode(ids.slice(front.length));
        expect([given, given.normalize('NFC')]).toContain(own);
      }),
      { numRuns: isFull ? 10_000 : 43 },
    );
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 3, max: tokenizer.size - 1 }), { maxLength: 12 }), (ids) => {
        const pieces = streamed(ids);
        expect(pieces).toBe(tokenizer.decode(ids));
        expect(pieces).not.toMatch(/\p{Cs}/u);
      }),
      { numRuns: isFull ? 10_000 : 43 },
    );
  },
);
