import { describe, expect, test } from 'vitest';
import { chosenRows, peerRows } from '../../../bench/peers/rows.ts';

const names = (words?: string): string[] => chosenRows(words).map(({ group, name }) => `${group}/${name}`);

test('no two rows have one name', () => {
  expect(new Set(names()).size).toBe(peerRows.length);
});

describe.each(peerRows.map((row) => [`${row.group} ${row.name}`, row] as const))('%s', (_name, row) => {
  test('its goals are about those who take part', () => {
    const entrants = row.setup().entrants.map(({ name }) => name);
    expect(new Set(entrants).size).toBe(entrants.length);
    for (const { fast, slow } of row.goals) expect(entrants).toEqual(expect.arrayContaining([fast, slow]));
  });
});

describe('--only', () => {
  test('takes groups and parts of names', () => {
    expect(names('norm,rope')).toEqual(['norm/RMSNorm+residual 512x1024', 'rope/RoPE 512x16x64']);
    expect(names('gemm/128')).toEqual(['gemm/128x1024x1024']);
  });

  test('a number is a whole number', () => {
    expect(names('moe/T=1')).toEqual(['moe/T=1']);
  });

  test('a word that names nothing is refused with what there is', () => {
    expect(() => chosenRows('gem')).toThrow(/--only "gem" names no row.*gemm\/512x1024x1024/);
  });
});
