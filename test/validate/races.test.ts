/** What the interpreter of shaders calls a race, by hand. */
import { expect, test } from 'vitest';
import { examine, raceText } from '../../src/validate/races/interpret.ts';

/** Of four lanes; the body begins in line 5. */
function racesOf(shared: string, body: string): string[] {
  const text = `
@group(0) @binding(0) var<storage, read_write> y : array<u32>;
${shared}
@compute @workgroup_size(4) fn main(@builtin(local_invocation_index) i : u32) {
${body}
}`;
  const buffers = new Map([['y', new ArrayBuffer(64)]]);
  const found = examine({ text, params: {}, buffers, groups: [1, 1, 1] });
  return found.state === 'examined' ? found.races.map(raceText) : [found.reason];
}

const first = 'if (i == 0u) { s = 5u; }';

test.each([
  ['all write a scalar', 'var<workgroup> s : u32;', 's = i;', ['s: write in line 5, write in 5']],
  [
    'one writes, others read',
    'var<workgroup> s: u32;',
    `${first}\ny[i] = s;`,
    ['s: write in line 5, read in 6'],
  ],
  ['a barrier lies between', 'var<workgroup> s : u32;', `${first}\nworkgroupBarrier();\ny[i] = s;`, []],
  ['the load is one', 'var<workgroup> s : u32;', `${first}\ny[i] = workgroupUniformLoad(&s);`, []],
  [
    'a vector',
    'var<workgroup> s : vec2<u32>;',
    'if (i == 0u) { s.x = 5u; }\ny[i] = s.x;',
    ['s: write in line 5, read in 6'],
  ],
  [
    'an element of an array',
    'var<workgroup> s : array<u32, 2>;',
    'if (i == 0u) { s[1] = 5u; }\ny[i] = s[1];',
    ['s: write in line 5, read in 6'],
  ],
  ['elements of their own', 'var<workgroup> s : array<u32, 4>;', 's[i] = 5u;\ny[i] = s[i];', []],
])('%s', (_what, shared, body, races) => {
  expect(racesOf(shared, body)).toEqual(races);
});
