/** Faults of the routed layer's plans: places, tiles, what is dropped, moving rows. */
import { faultsIn, type Fault, type Mutant } from '../mutant.ts';
import { AS_ON_A_GPU } from './kinds.ts';

const internal = (only: string) => ({
  tests: ['kernels/routing/internal.shared.test.ts'],
  only: `^internal ${only}`,
});
/** Only a GPU runs subgroups of a workgroup out of order: on a CPU this barrier is missed by none but the race detector. */
const overtaking: Fault = {
  find: 'if (known) { slot = next[e] + before; }\n  workgroupBarrier();',
  replace: 'if (known) { slot = next[e] + before; }',
  why: 'the next row moves on while others read it',
};
const races = { tests: ['hygiene/barriers.test.ts'] };

export const routingFaults: readonly Mutant[] = [
  ...faultsIn('shaders/routing/plan-local.wgsl', races, [overtaking]),
  ...faultsIn('shaders/routing/scatter.wgsl', races, [overtaking]),
  ...faultsIn('shaders/routing/plan-local.wgsl', internal('local plan'), [
    {
      find: 'if (known) { slot = next[e] + before; }',
      replace: 'if (known) { slot = next[e]; }',
      why: 'choices of one expert side by side get one place',
    },
    {
      find: 'grid[4] = params.downColumnGroups;',
      replace: 'grid[4] = params.columnGroups;',
      why: 'the down projection has the grid of the up projection',
    },
    {
      find: 'tile < params.tileCapacity; tile += WG) { tiles[tile] = vec4<u32>(); }',
      replace: 'tile < 0u; tile += WG) { tiles[tile] = vec4<u32>(); }',
      why: 'tiles that are not used are left as they were',
    },
    {
      find: 'if (lane < count) { slot_TK[first + lane] = slot; }',
      replace: 'if (known) { slot_TK[first + lane] = slot; }',
      why: 'a dropped choice keeps the slot that was there',
    },
    {
      find: 'if (lane == 0u) { start_E[params.numExperts] = all.x; }',
      replace: '',
      why: 'the number of all rows is not written',
    },
  ]),
  ...faultsIn('shaders/routing/plan-local.wgsl', { ...internal('local plan'), ...AS_ON_A_GPU }, [
    {
      find: '{ atomicStore(&found[e], 0u); }\n  workgroupBarrier();',
      replace: '{ atomicStore(&found[e], 0u); }',
      why: 'choices are counted before the counters are cleared',
    },
    {
      find: '{ atomicAdd(&found[e], 1u); }\n  }\n  workgroupBarrier();',
      replace: '{ atomicAdd(&found[e], 1u); }\n  }',
      why: 'counters are read before all have counted',
    },
    {
      find: 'rowsAndTiles(atomicLoad(&found[e])); }\n  workgroupBarrier();',
      replace: 'rowsAndTiles(atomicLoad(&found[e])); }',
      why: 'experts are summed before their rows are there',
    },
    {
      find: 'ofRun[lane] = own;\n  workgroupBarrier();',
      replace: 'ofRun[lane] = own;',
      why: 'sums of runs are read before they are there',
    },
    {
      find: '    running += count;\n  }\n  workgroupBarrier();\n  return all;',
      replace: '    running += count;\n  }\n  return all;',
      why: 'starts are read before they are there',
    },
    {
      find: 'writeTiles(lane, all);\n  workgroupBarrier();',
      replace: 'writeTiles(lane, all);',
      why: 'choices are placed before the next rows are there',
    },
    {
      find: '{ next[e] += same; }\n  workgroupBarrier();',
      replace: '{ next[e] += same; }',
      why: 'the next choices do not wait for the next row',
    },
  ]),
  ...faultsIn('shaders/routing/plan-small.wgsl', internal('route plan'), [
    {
      find: 'if (known) { rowToken_R[slot] = (first + lane) / params.topK; }',
      replace: 'if (known) { rowToken_R[slot] = first + lane; }',
      why: 'rows are named by choice, not by token',
    },
    {
      find: 'before += select(0u, hit, j < lane);',
      replace: 'before += select(0u, hit, j > lane);',
      why: 'places of an expert are given out backwards',
    },
  ]),
  ...faultsIn('shaders/routing/plan-small.wgsl', { ...internal('route plan'), ...AS_ON_A_GPU }, [
    {
      find: '{ total[e] += same; }\n  workgroupBarrier();',
      replace: '{ total[e] += same; }',
      why: 'the next choices do not wait for the next row',
    },
  ]),
  ...faultsIn('shaders/routing/scatter.wgsl', internal('route plan'), [
    {
      find: 'next[e] = blockStart_BE[blockIndex * params.numExperts + e];',
      replace: 'next[e] = blockStart_BE[e];',
      why: 'every block places its choices as the first does',
    },
    {
      find: 'let begin = blockIndex * BLOCK;',
      replace: 'let begin = blockIndex * (BLOCK - 1u);',
      why: 'blocks overlap by a choice',
    },
  ]),
  ...faultsIn('shaders/routing/scatter.wgsl', { ...internal('route plan'), ...AS_ON_A_GPU }, [
    {
      find: 'blockStart_BE[blockIndex * params.numExperts + e];\n  }\n  workgroupBarrier();',
      replace: 'blockStart_BE[blockIndex * params.numExperts + e];\n  }',
      why: 'choices are placed before the starts are there',
    },
    {
      find: '{ next[e] += same; }\n  workgroupBarrier();',
      replace: '{ next[e] += same; }',
      why: 'the next choices do not wait for the next row',
    },
  ]),
  ...faultsIn('shaders/routing/histogram.wgsl', internal('route plan'), [
    {
      find: 'let end = min(first + BLOCK, params.numChoices);',
      replace: 'let end = min(first + BLOCK, params.numChoices - 1u);',
      why: 'the last choice is not counted',
    },
  ]),
  ...faultsIn('shaders/routing/histogram.wgsl', { ...internal('route plan'), ...AS_ON_A_GPU }, [
    {
      find: '{ atomicAdd(&count[e], 1u); }\n  }\n  workgroupBarrier();',
      replace: '{ atomicAdd(&count[e], 1u); }\n  }',
      why: 'counters are written out before all have counted',
    },
  ]),
  ...faultsIn('shaders/routing/scan.wgsl', internal('route plan'), [
    {
      find: 'blockStart_BE[at] = running;\n      running += count;',
      replace: 'running += count;\n      blockStart_BE[at] = running;',
      why: 'the starts of blocks are their ends',
    },
    {
      find: 'let run = (params.numExperts + WG - 1u) / WG;',
      replace: 'let run = max(1u, params.numExperts / WG);',
      why: 'experts that fill no whole run are not summed',
    },
  ]),
  ...faultsIn('shaders/routing/scan-tiles.wgsl', internal('local plan, three'), [
    { find: 'var tile = total[e].y;', replace: 'var tile = total[e].x;', why: 'tiles are listed by row' },
    {
      find: 'if (e + 1u < params.numExperts) { end = total[e + 1u].x; }',
      replace: '',
      why: 'tiles of an expert run on through the next ones',
    },
  ]),
  ...faultsIn('shaders/routing/receive-plan.wgsl', internal('receive plan'), [
    {
      find: 'place += start_SE[at + 1u] - start_SE[at];',
      replace: 'place += start_SE[at + 1u];',
      why: 'sources behind one another are not counted but added up',
    },
    {
      find: 'let firstOwner = group.x * params.numOwners;',
      replace: 'let firstOwner = group.x;',
      why: 'the second list begins within the first',
    },
    {
      find: 'grid[dispatch + 3u] = rows;',
      replace: 'grid[dispatch + 3u] = row;',
      why: 'rows of a list are those of its last owner',
    },
    {
      find: 'let expert = params.firstExpert + firstOwner',
      replace: 'let expert = firstOwner',
      why: 'owners receive for the first experts of the layer',
    },
  ]),
  ...faultsIn('shaders/routing/receive-plan.wgsl', { ...internal('receive plan'), ...AS_ON_A_GPU }, [
    {
      find: 'rowCount[e] = rows;\n  }\n  workgroupBarrier();',
      replace: 'rowCount[e] = rows;\n  }',
      why: 'the scan does not wait for the counts',
    },
  ]),
  ...faultsIn(
    'shaders/routing/combine.wgsl',
    {
      tests: ['kernels/routing/internal.shared.test.ts', 'kernels/absent.test.ts'],
      only: '(^internal combine|without a slot)',
    },
    [
      {
        find: 'if (slot != NO_SLOT) {',
        replace: 'if (slot <= NO_SLOT) {',
        why: 'a dropped choice is combined from outside of the rows',
      },
      {
        find: 'if (RESIDUAL) { total += residual_TD',
        replace: 'if (!RESIDUAL) { total += residual_TD',
        why: 'the residual is left out',
      },
    ],
  ),
  ...faultsIn('src/kernels/routing/rows.ts', { tests: ['kernels/grids.test.ts'] }, [
    {
      find: 'grid: (_s, p) => spread(p.numTokens),',
      replace: 'grid: (_s, p) => [p.numTokens, 1, 1],',
      why: 'the combine has one dimension of the grid only',
    },
    {
      find: 'grid: (_s, p) => spread(p.numRows),',
      replace: 'grid: (_s, p) => [p.numRows, 1, 1],',
      why: 'the gather has one dimension of the grid only',
    },
  ]),
  ...faultsIn('shaders/routing/gather-rows.wgsl', internal('gather'), [
    {
      find: 'if (source < params.numSource) {',
      replace: 'if (source <= params.numSource) {',
      why: 'an index just outside of the source gathers a row',
    },
    {
      find: 'if (PART && source >= params.numSource) { return; }',
      replace: '',
      why: 'a later part of a source writes NaN over the rows of others',
    },
    {
      find: 'let r = group.y * groups.x + group.x;',
      replace: 'let r = group.x;',
      why: 'rows beyond one dimension of the grid are left out',
    },
    { find: '[index & 1u]; }', replace: '[1u - (index & 1u)]; }', why: 'halves change places' },
  ]),
  ...faultsIn(
    'src/core/plan-sizes.ts',
    {
      tests: ['kernels/grids.test.ts', 'kernels/routing/internal.shared.test.ts'],
      only: '(tile|capacity|^internal (local|receive) plan)',
    },
    [
      {
        find: 'Math.min(rows, Math.floor(rows / tileRows) + localExperts)',
        replace: 'Math.min(rows, Math.floor(rows / tileRows) + localExperts - 1)',
        why: 'a list of tiles is one too short',
      },
    ],
  ),
  ...faultsIn('src/core/plan-sizes.ts', { tests: ['kernels/absent.test.ts'], only: 'scratch' }, [
    {
      find: 'return Math.max(1, ceilDiv(numChoices, PLAN_BLOCK)) * numExperts;',
      replace: 'return ceilDiv(numChoices, PLAN_BLOCK) * numExperts - 1;',
      why: 'scratch of the plan is a word too short',
    },
  ]),
];
