import { expect, test } from 'vitest';
import { parameters } from '../../src/model/cost.ts';
import { presetNamed, presets } from '../../src/model/presets.ts';
import { checkConfig } from '../../src/model/weight-shapes.ts';

test.each([...presets.keys()])('%s can exist and says where it comes from', (name) => {
  const { config, source } = presetNamed(name);
  expect(() => checkConfig(config)).not.toThrow();
  expect(config.name).toBe(name);
  expect(source).not.toBe('');
});

test.each([...presets.values()].filter((p) => p.stated && p.config.name !== 'deepseek-v3'))(
  '$config.name has the parameters that its makers state, to 1 %',
  ({ config, stated }) => {
    expect(Math.abs(parameters(config).total / (stated?.total ?? NaN) - 1)).toBeLessThan(0.01);
  },
);

test('deepseek-v3 is not itself without its latent attention, and says so', () => {
  const { config, beyond } = presetNamed('deepseek-v3');
  expect(parameters(config).experts / 1e9).toBeCloseTo((61 * 256 * 3 * 7168 * 2048) / 1e9);
  expect(beyond.join()).toMatch(/latent attention.*shared expert.*dense/s);
});

test('an unknown name gets the nearest one and the list', () => {
  expect(() => presetNamed('mixtral-8x7')).toThrow(
    /"mixtral-8x7"\. Did you mean "mixtral-8x7b"\? Presets: card, /,
  );
  expect(() => presetNamed('mixtral')).toThrow(/Did you mean "mixtral-8x7b"/);
  expect(() => presetNamed('DBRX')).toThrow(/Did you mean "dbrx"/);
  expect(() => presetNamed('constructor')).toThrow(/no model preset "constructor"\. Presets:/);
});
