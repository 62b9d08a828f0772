/** Recorded routing and hardware of files: what a projection makes of them, in one deployment and in a table. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { csvParse } from 'd3-dsv';
import { beforeAll, describe, expect, test } from 'vitest';
import type { DeploymentReport } from '../../src/cli/verbs/plan/deployment.ts';
import { project } from '../../src/cli/verbs/plan/project.ts';
import { ConfigError } from '../../src/core/errors.ts';
import { hottestLoads } from '../../src/planner/serving/hottest.ts';
import { recordedRouting, routingHere } from '../../src/planner/serving/routing.ts';
import type { RoutingTrace } from '../../src/routing/trace/trace.ts';

const traceOf = (numExperts: number, topK: number, ...counts: number[][]): RoutingTrace => ({
  ...{ model: 'm', source: 's', numExperts, topK },
  layers: counts.map((count_E, layer) => ({
    ...{ layer, name: '', count_E },
    numTokens: count_E.reduce((a, b) => a + b, 0) / topK,
  })),
});

const FOUR = { name: 'four', experts: 4, topK: 1 };
const lying = { experts: 4, slots: 4, topk: 1, ep: 2 };

describe('the hottest rank of a trace', () => {
  test('has the rows of its experts: 5 and 3 of 10, then all of 10 on the other rank', () => {
    const routing = recordedRouting([traceOf(4, 1, [5, 3, 1, 1], [0, 0, 10, 0])], FOUR, 'a file');
    expect(routing.layers).toEqual([
      [0.5, 0.3, 0.1, 0.1],
      [0, 0, 1, 0],
    ]);
    // Of many tokens chance is little: 0.8 and 1 of them, 2 experts and 1.
    const { rows, activeExperts } = hottestLoads(routing, lying)(1e6);
    expect(rows / 1e6).toBeCloseTo(0.9, 3);
    expect(activeExperts).toBeCloseTo(1.5, 6);
  });

  test('copies of the most chosen expert on the other rank take half of its rows', () => {
    const routing = recordedRouting([traceOf(4, 1, [6, 2, 1, 1])], FOUR, 'a file');
    const { rows } = hottestLoads(routing, { ...lying, slots: 6 })(1e6);
    expect(rows / 1e6).toBeCloseTo(0.5, 2);
  });

  test('the first trace of the model counts, pairs of layers whatever its choices', () => {
    const pairs = {
      ...traceOf(4, 1, [1, 1, 1, 1]),
      transitions: [{ fromLayer: 0, toLayer: 1, count_EE: [] }],
    };
    const two = { ...FOUR, topK: 2 };
    expect(recordedRouting([pairs, traceOf(4, 2, [2, 2, 0, 0])], two, 'f').layers).toEqual([
      [0.5, 0.5, 0, 0],
    ]);
    expect(recordedRouting([pairs], two, 'f').layers).toEqual([[0.25, 0.25, 0.25, 0.25]]);
    expect(() => recordedRouting([traceOf(8, 2, Array<number>(8).fill(1))], FOUR, 'f.csv')).toThrow(
      'f.csv is routing of 8 experts and top-2, but four has 4 experts and top-1.',
    );
    expect(() => recordedRouting([traceOf(4, 1, [0, 0, 0, 0])], FOUR, 'f')).toThrow(/no rows in any layer/);
    expect(() => routingHere('a/b.csv')).toThrow(ConfigError);
  });
});

describe('files', () => {
  let folder = '';
  const at = (name: string): string => join(folder, name);
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'moebius-'));
    const experts = Array.from({ length: 8 }, (_, e) => `e${e}`).join();
    await writeFile(at('hot.csv'), `model,layer,${experts}\nmixtral,0,800,800,0,0,0,0,0,0\n`);
    await writeFile(
      at('mine.json'),
      JSON.stringify({ name: 'mine', like: 'h200', memory: { gbPerS: 9600 } }),
    );
  });

  const deployment = { model: 'mixtral-8x7b', hardware: 'h200', layout: 'ep=8', isl: 4096, osl: 2 } as const;

  test('a trace whose tokens all take two experts leaves the other ranks idle', async () => {
    const sharesOf = async (routing: string) =>
      ((await project({ ...deployment, concurrency: 8, routing })) as DeploymentReport).shares;
    const [even, hot] = [await sharesOf('balanced'), await sharesOf(at('hot.csv'))];
    expect(even.imbalance).toBe(0);
    expect(hot.imbalance).toBeGreaterThan(hot.experts);
  });

  test('a table names them in its cells; one that cannot be read is told in its row', async () => {
    await writeFile(
      at('in.csv'),
      'op,model,hardware,attn_tp,ep,isl,osl,concurrency,tokens,dtype,routing\n' +
        `,llama-3.1-8b,h200,1,,64,16,1,,,\n,llama-3.1-8b,${at('mine.json')},1,,64,16,1,,,\n` +
        `moe,mixtral-8x7b,h200,,8,,,,4096,fp8,balanced\nmoe,mixtral-8x7b,h200,,8,,,,4096,fp8,${at('hot.csv')}\n` +
        `,mixtral-8x7b,h200,,8,64,16,1,,,${at('no.csv')}\n,llama-3.1-8b,${at('no.json')},1,,64,16,1,,,\n`,
    );
    const { csv } = await project({ cases: at('in.csv') });
    const [here, mine, balanced, hot, noTrace, noHardware] = csvParse(csv);
    expect(Number(mine?.tpot_ms)).toBeLessThan(Number(here?.tpot_ms));
    expect(mine?.note).toMatch(/mine is hardware of a file/);
    expect(Number(hot?.us)).toBeGreaterThan(1.5 * Number(balanced?.us));
    expect([noTrace?.tpot_ms, noHardware?.tpot_ms]).toEqual(['', '']);
    expect(noTrace?.note).toMatch(/no\.csv/);
    expect(noHardware?.note).toMatch(/no\.json/);
  });
});
