/** Frequencies of rotary positions, by hand. */
import { expect, test } from 'vitest';
import { at } from '../../../src/core/math.ts';
import { ConfigFile } from '../../../src/model/families/config-file.ts';
import { readRope } from '../../../src/model/families/rope.ts';

const SIZE = { headDim: 64, rotaryDim: 64, maxPositions: 131_072, style: 'halves' } as const;

/** As in gpt-oss: of 4,096 positions, 32 times as many. Waves from 8.0928 on are stretched, from 17.398 on wholly. */
function frequencies(further: Readonly<Record<string, unknown>>): readonly number[] {
  const scaling = { rope_type: 'yarn', factor: 32, original_max_position_embeddings: 4096, ...further };
  const file = new ConfigFile({ rope_theta: 150_000, rope_scaling: scaling }, 'config.json', 'an object');
  return readRope(file, SIZE).rope?.frequencies ?? [];
}

test.each([
  ['from and to whole waves', {}, (9 - 8) / (18 - 8)],
  ['from and to where the turns are', { truncate: false }, (9 - 8.0928) / (17.398 - 8.0928)],
])('YaRN stretches %s', (_what, further, ramp) => {
  const plain = 150_000 ** (-18 / 64);
  const all = frequencies(further);
  expect(at(all, 9) / plain).toBeCloseTo(1 - ramp * (31 / 32), 4);
  expect(at(all, 8) / 150_000 ** (-16 / 64)).toBeCloseTo(1, 12);
  expect(at(all, 20) / 150_000 ** (-40 / 64)).toBeCloseTo(1 / 32, 12);
});
