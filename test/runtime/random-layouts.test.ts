/** Three layouts that nobody chose, ten in a full run. MOEBIUS_LAYOUT_SEED draws others. */
import { beforeAll, describe, expect, test } from 'vitest';
import { at, divisorsOf, range } from '../../src/core/math.ts';
import { seededRandom } from '../../src/core/random.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { formatLayout, type LayoutSpec } from '../../src/layout/spec.ts';
import { presetNamed } from '../../src/model/presets.ts';
import { expectTinyMoe, openFixture, type Fixture } from './tiny-moe-on-layout.ts';

const COUNT = process.env['MOEBIUS_RUNS'] === undefined ? 3 : 10;
const seed = Number(process.env['MOEBIUS_LAYOUT_SEED'] ?? 128);

/** Every layout of tiny-moe up to 128 ranks: 16 experts, 16 heads, 4 layers, up to 4 replicas. */
function validLayouts(): LayoutSpec[] {
  const { config } = presetNamed('tiny-moe');
  return divisorsOf(config.numExperts)
    .flatMap((ep) => divisorsOf(ep).map((tp) => ({ ep, tp })))
    .flatMap((s) =>
      range(config.numLayers).flatMap((p) => range(4).map((d) => ({ ...s, pp: p + 1, dp: d + 1 }))),
    )
    .filter((spec) => spec.ep * spec.pp * spec.dp <= 128);
}

function draw(count: number): LayoutSpec[] {
  const rest = validLayouts();
  const random = seededRandom(seed);
  return range(count).map(() => at(rest.splice(random.integer(rest.length), 1), 0));
}

describe(`${COUNT} random layouts (seed ${seed})`, () => {
  let fixture: Fixture;
  beforeAll(async () => void (fixture = await openFixture(8)), 120_000);

  for (const spec of draw(COUNT)) {
    const text = formatLayout(spec);
    test(`tiny-moe on ${text}`, () => expectTinyMoe(fixture, text), 240_000);
  }

  test('the drawn layouts are valid and differ', () => {
    const { config } = presetNamed('tiny-moe');
    expect(new Set(draw(COUNT).map(formatLayout)).size).toBe(COUNT);
    for (const spec of validLayouts()) expect(() => planLayout(spec, config)).not.toThrow();
  });
});
