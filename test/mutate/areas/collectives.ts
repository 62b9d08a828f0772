/** Faults between ranks: groups, shares, exchanges, and who owns what in a layout. */
import { faultsIn, type Mutant } from '../mutant.ts';

const collectives = { tests: ['collectives'] };
const layout = { tests: ['layout'] };

export const collectiveFaults: readonly Mutant[] = [
  ...faultsIn('src/collectives/groups.ts', collectives, [
    {
      find: 'ofRank.set([first, group.length, index, 0], 4 * rank);',
      replace: 'ofRank.set([first, group.length, 0, 0], 4 * rank);',
      why: 'every rank is the first of its group',
    },
    {
      find: 'firstMember.push(first);',
      replace: 'firstMember.push(0);',
      why: 'all groups begin with the first members',
    },
    {
      find: 'words.set([at(ofRank, 4 * rank), at(ofRank, 4 * rank + 1), run.first, run.count], 4 * rank);',
      replace: 'words.set([at(ofRank, 4 * rank), at(ofRank, 4 * rank + 1), 0, run.count], 4 * rank);',
      why: 'all shares begin with the first row',
    },
    {
      find: 'groupSize: maxOf(groups.map((g) => g.length)),',
      replace: 'groupSize: Math.min(...groups.map((g) => g.length)),',
      why: 'the largest group is as small as the smallest',
    },
  ]),
  ...faultsIn('src/collectives/symmetric.ts', collectives, [
    {
      find: 'this.buffer.view(index * this.stride * WORD, this.stride * WORD)',
      replace: 'this.buffer.view(0 * index, this.stride * WORD)',
      why: 'every part is the first',
    },
  ]),
  ...faultsIn(
    'src/collectives/symmetric.ts',
    { tests: ['runtime/engine.test.ts'], only: 'share a dispatch' },
    [
      {
        find: 'this.stride = partStride(wordsPerPart,',
        replace: 'this.stride = partStride(wordsPerPart + 1,',
        why: 'parts have a word more than predicted',
      },
    ],
  ),
  ...faultsIn('src/collectives/one-device.ts', collectives, [
    {
      find: 'firstMember: at(p.groups.firstMember, p.group),',
      replace: 'firstMember: 0,',
      why: 'every group exchanges among the first members',
    },
    {
      find: 'firstSource: p.sources?.first ?? 0,',
      replace: 'firstSource: 0,',
      why: 'the first sources send for those that have rows',
    },
    {
      find: 'firstRank: ranks?.first ?? 0,\n          numRanks: ranks?.count ?? groups.numRanks,\n        },\n        { x: x.buffer, members: groups.members, shares',
      replace:
        'firstRank: 0,\n          numRanks: ranks?.count ?? groups.numRanks,\n        },\n        { x: x.buffer, members: groups.members, shares',
      why: 'shares of rows begin with rank 0',
    },
    {
      find: 'commands.copy(from, to, bytes)',
      replace: 'commands.copy(from, to)',
      why: 'a hand-over copies the whole part',
    },
  ]),
  ...faultsIn('src/collectives/segments.ts', { tests: ['runtime/awaited-transport.test.ts'] }, [
    {
      find: 'submit();\n        return segment.run();',
      replace: 'return segment.run();',
      why: 'a collective begins before what it reads was submitted',
    },
    {
      find: 'return pending.then(submit).catch(fail);',
      replace: 'return pending.catch(fail);',
      why: 'what follows the last collective is not submitted',
    },
  ]),
  ...faultsIn('src/runtime/engine.ts', { tests: ['runtime/awaited-transport.test.ts'] }, [
    {
      find: 'else void pending.then(release, release);',
      replace: 'else release();',
      why: 'an engine frees what a step under way still writes',
    },
  ]),
  ...faultsIn('shaders/collectives/all-reduce.wgsl', collectives, [
    {
      find: 'x[members[own.x + m] * params.xStride + i]',
      replace: 'x[members[m] * params.xStride + i]',
      why: 'every group sums the first members',
    },
  ]),
  ...faultsIn('shaders/collectives/all-gather.wgsl', collectives, [
    {
      find: 'if (j >= own.y) { return; }',
      replace: 'if (j > own.y) { return; }',
      why: 'a smaller group gathers one member too many',
    },
    {
      find: 'y[rank * params.yStride + i]',
      replace: 'y[group.y * params.yStride + i]',
      why: 'a run of ranks gathers into the first ranks',
    },
  ]),
  ...faultsIn('shaders/collectives/all-to-all.wgsl', collectives, [
    {
      find: 'x[peer * params.xStride + own.z * params.count + i]',
      replace: 'x[peer * params.xStride + peerIndex * params.count + i]',
      why: 'each gets the block of its peer',
    },
  ]),
  ...faultsIn('shaders/collectives/reduce-scatter-rows.wgsl', collectives, [
    {
      find: '(share.z + row) * params.width',
      replace: 'row * params.width',
      why: 'every rank keeps the first rows',
    },
    {
      find: 'if (row >= share.w) { return; }',
      replace: 'if (row > share.w) { return; }',
      why: 'a share has a row too many',
    },
  ]),
  ...faultsIn('shaders/collectives/all-gather-rows.wgsl', collectives, [
    {
      find: 'row >= share.z + share.w',
      replace: 'row > share.z + share.w',
      why: 'a share reaches one row into the next',
    },
  ]),
  ...faultsIn('shaders/collectives/exchange-rows.wgsl', collectives, [
    {
      find: 'if (start_SE[starts + middle] <= row) {',
      replace: 'if (start_SE[starts + middle] < row) {',
      why: 'the first row of an expert goes to the one before',
    },
    {
      find: '(low % params.localExperts) * params.groupSize + member',
      replace: '(low % params.localExperts) * params.groupSize',
      why: 'all sources write where the first one does',
    },
    {
      find: 'let member = params.firstSource + group.y;',
      replace: 'let member = group.y;',
      why: 'the run of sources begins with the first',
    },
  ]),
  ...faultsIn('src/layout/layout.ts', layout, [
    {
      find: 'tpGroup: Math.floor(where.ep / tp), tp: where.ep % tp }',
      replace: 'tpGroup: where.ep % (ep / tp), tp: Math.floor(where.ep / (ep / tp)) }',
      why: 'ranks of a TP group are no neighbours',
    },
    {
      find: 'first: at(placement.firstSlot, epIndex), count:',
      replace: 'first: epIndex, count:',
      why: 'slots are dealt round-robin when asked for those of a rank',
    },
    {
      find: 'layer < layersOf(stage).first + layersOf(stage).count',
      replace: 'layer <= layersOf(stage).first + layersOf(stage).count',
      why: 'the first layer of a stage is of the stage before',
    },
    {
      find: 'const group = replica * tpGroups + tpGroup;',
      replace: 'const group = tpGroup * dp + replica;',
      why: 'sequences are dealt to replicas first',
    },
    {
      find: 'Math.floor((heads.first + heads.count - 1) / headsPerKvHead)',
      replace: 'Math.floor((heads.first + heads.count) / headsPerKvHead)',
      why: 'a rank holds the key/value head after its last',
    },
  ]),
  ...faultsIn('src/routing/dispatch-plan.ts', { tests: ['routing'] }, [
    {
      find: 'next_E[id] = slot + 1;',
      replace: 'next_E[id] = slot;',
      why: 'all choices of an expert have one slot',
    },
    {
      find: 'blocks.push({ source, expert, sendStart: at(send.start_E, expert), recvStart, count });',
      replace: 'blocks.push({ source, expert, sendStart: recvStart, recvStart, count });',
      why: 'rows are sent from where they land',
    },
    {
      find: 'end: start + Math.min(count, (i + 1) * tileRows),',
      replace: 'end: start + (i + 1) * tileRows,',
      why: "an expert's last tile is full",
    },
    { find: 'return total - count;', replace: 'return total;', why: 'an exclusive scan includes its own' },
  ]),
  ...faultsIn('src/core/math.ts', { tests: ['layout', 'runtime/step-plan.test.ts'] }, [
    { find: 'return Math.ceil(a / b);', replace: 'return Math.floor(a / b);', why: 'a division rounds down' },
  ]),
];
