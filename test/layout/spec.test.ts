import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { CARD_LAYOUT, formatLayout, parseLayout, worldSizeOf } from '../../src/layout/spec.ts';

describe('parseLayout', () => {
  test('reads the card', () => {
    expect(parseLayout('ep=16,pp=4,tp=2,dp=2')).toEqual(CARD_LAYOUT);
    expect(worldSizeOf(CARD_LAYOUT)).toBe(128);
  });

  test('takes any order, capitals and blanks', () => {
    expect(parseLayout(' DP=2, TP = 2, PP=4 ,EP=16 ')).toEqual(CARD_LAYOUT);
  });

  test('gives a missing axis the size 1', () => {
    expect(parseLayout('pp=4')).toEqual({ ep: 1, pp: 4, tp: 1, dp: 1 });
  });

  test('reads back what formatLayout writes', () => {
    const size = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(fc.record({ ep: size, pp: size, tp: size, dp: size }), (spec) => {
        expect(parseLayout(formatLayout(spec))).toEqual(spec);
      }),
    );
  });

  const refused: [text: string, message: RegExp][] = [
    ['', /layout \(""\) is empty; it must set at least one axis\. Try "ep=16,pp=4,tp=2,dp=2"/],
    ['   ', /is empty/],
    ['ep', /holds "ep"; each item must be axis=size, separated by commas\. Try/],
    ['ep=', /holds "ep="; each item must be axis=size/],
    ['=4', /holds "=4"; each item must be axis=size/],
    ['ep=4=4', /holds "ep=4=4"; each item must be axis=size/],
    ['ep=4,,tp=2', /holds ""; each item must be axis=size/],
    ['ep=4,', /holds ""; each item must be axis=size/],
    ['ep=4;tp=2', /holds "ep=4;tp=2"; each item must be axis=size/],
    ['ep=4,cp=2', /sets "cp", which is no axis; the axes are ep, pp, tp, dp\. Try/],
    ['ep=4,ep=8', /sets ep twice \(4 and 8\); an axis has one size\. Try one of ep=4 and ep=8/],
    ['ep=4,EP=4', /sets ep twice/],
    ['ep=1.5', /ep \(1\.5\) is not a whole number from 1 to 65536.*Try ep=16/],
    ['ep=1e3', /ep \(1e3\) is not a whole number/],
    ['ep=0x10', /ep \(0x10\) is not a whole number/],
    ['ep=two', /ep \(two\) is not a whole number/],
    ['ep=NaN', /ep \(NaN\) is not a whole number/],
    ['tp=0', /tp \(0\) is not a whole number from 1.*Try tp=2, or leave tp out for 1/],
    ['pp=-4', /pp \(-4\) is not a whole number/],
    ['dp=65537', /dp \(65537\) is not a whole number from 1 to 65536/],
    ['dp=99999999999999999999', /dp \(100000000000000000000\) is not a whole number/],
    [
      'ep=512,pp=16,dp=16',
      /has 131072 ranks \(ep\*pp\*dp = 512\*16\*16\); the limit is 65536\. Try a smaller dp/,
    ],
  ];
  test.each(refused)('refuses %j', (text, message) => {
    expect(() => parseLayout(text)).toThrow(ConfigError);
    expect(() => parseLayout(text)).toThrow(message);
  });
});
