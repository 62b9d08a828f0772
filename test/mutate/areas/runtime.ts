/** Faults of the engine: sampling, steps, sizes, pages, and what it says of itself. */
import { faultsIn, type Mutant } from '../mutant.ts';

const sampling = { tests: ['runtime/sampling.test.ts'] };
const products = { tests: ['runtime/step/shared-products.test.ts'] };
const spans = { tests: ['runtime/step-spans.test.ts'] };
const plan = { tests: ['runtime/step-plan.test.ts'] };
const sizes = { tests: ['runtime/step-plan.test.ts', 'runtime/limits.test.ts'] };

export const runtimeFaults: readonly Mutant[] = [
  ...faultsIn('src/runtime/generate.ts', sampling, [
    {
      find: 'const random = seededRandom(seed);',
      replace: 'const random = seededRandom(0 * seed);',
      why: 'every seed is the same',
    },
    {
      find: 'decodeNs += step.hostNs;',
      replace: 'decodeNs = step.hostNs;',
      why: 'the time of all tokens is that of the last',
    },
    {
      find: 'hostSyncsInLayers += step.hostSyncsInLayers;',
      replace: '',
      why: 'waits of the host count in the prompt only',
    },
    { find: 'steps.reset();\n', replace: '\n', why: 'a text goes on where the one before ended' },
  ]),
  ...faultsIn('src/runtime/sampling.ts', sampling, [
    {
      find: 'Array.from(logits, (v) => Math.exp((v - highest) / temperature))',
      replace: 'Array.from(logits, (v) => Math.exp(v - highest))',
      why: 'the temperature is ignored',
    },
    {
      find: 'Array.from(logits, (v) => Math.exp((v - highest) / temperature))',
      replace: 'Array.from(logits, (v) => Math.exp(v / temperature))',
      why: 'large logits overflow',
    },
    {
      find: 'if (value > at(values, best)) best = i;',
      replace: 'if (value >= at(values, best)) best = i;',
      why: 'ties go to the higher token',
    },
    {
      find: 'if (!Number.isFinite(value)) throw',
      replace: 'if (value === Infinity) throw',
      why: 'a logit that is NaN is accepted',
    },
    {
      find: 'if (temperature === 0) return argmax(penalised);',
      replace: 'if (temperature < 1) return argmax(penalised);',
      why: 'a low temperature takes the likeliest token',
    },
    {
      find: 'if (rest < 0) return i;',
      replace: 'if (rest < 1) return i;',
      why: 'the first tokens are drawn too often',
    },
    {
      find: 'const isIn = before < topP * total;',
      replace: 'const isIn = before <= topP * total + weight;',
      why: 'the nucleus has a token too many',
    },
    {
      find: 'logit > 0 ? logit / penalty : logit * penalty',
      replace: 'logit / penalty',
      why: 'a penalty makes unlikely tokens likelier',
    },
  ]),
  ...faultsIn('src/runtime/step/plan.ts', plan, [
    {
      find: 'if (tokens + step.ids.length > maxTokens) {',
      replace: 'if (tokens > maxTokens) {',
      why: 'a micro-batch takes one sequence too many',
    },
    {
      find: 'slot: Math.floor(r.sequence / z.numGroups)',
      replace: 'slot: r.sequence % z.numGroups',
      why: 'sequences of a group share a slot',
    },
    {
      find: 'place.push(s.past + i, s.slot * maxLength + s.past + i);',
      replace: 'place.push(i, s.slot * maxLength + s.past + i);',
      why: 'new tokens have positions as if nothing were before them',
    },
    {
      find: '(end += s.ids.length) - 1)',
      replace: '(end += s.ids.length) - s.ids.length)',
      why: 'logits are of the first token of a sequence',
    },
    {
      find: 's.past + s.ids.length, s.slot);',
      replace: 's.ids.length, s.slot);',
      why: 'a sequence sees its new keys only',
    },
    {
      find: 'at(busy, busy.length - 1) - first + 1 }',
      replace: 'at(busy, busy.length - 1) - first }',
      why: 'the last busy rank is left out',
    },
  ]),
  ...faultsIn('src/runtime/step/row-places.ts', plan, [
    {
      find: 'firstRow + numRows <= room',
      replace: 'firstRow <= room',
      why: 'rows of the last rank reach beyond the scratch of the first',
    },
    {
      find: 'roundUp(last.next, step)',
      replace: 'last.next',
      why: 'rows begin where no binding may',
    },
  ]),
  ...faultsIn('src/runtime/step/plan.ts', { tests: ['runtime/engine.test.ts'], only: 'refuses' }, [
    {
      find: 'id >= z.vocabSize);',
      replace: 'id > z.vocabSize);',
      why: 'a token one past the vocabulary is accepted',
    },
    {
      find: 'if (length > z.maxLength) {',
      replace: 'if (length > z.maxLength + 1) {',
      why: 'a sequence may be a position too long',
    },
  ]),
  ...faultsIn('src/memory/rank-sizes.ts', sizes, [
    {
      find: 'tokens * Math.min(model.topK, experts) <= MOST_TILES',
      replace: 'tokens > 0',
      why: 'stacks have more tiles than a grid',
    },
    {
      find: 'Math.max(up, down, hidden) <= bindableBytes',
      replace: 'Math.max(up, hidden) <= bindableBytes',
      why: 'the scales of the down projection need no room',
    },
    {
      find: 'const shareTokens = ceilDiv(limits.maxTokens, spec.tp);',
      replace: 'const shareTokens = Math.floor(limits.maxTokens / spec.tp);',
      why: 'shares have no room for the tokens that are left over',
    },
    {
      find: 'const received = tokens * Math.min(model.topK, localExperts);',
      replace: 'const received = tokens;',
      why: 'a rank has room for one row of each token',
    },
    {
      find: 'Math.floor(tokensOfFullestGroup / LEAST_TOKENS)',
      replace: 'Math.ceil(tokensOfFullestGroup / LEAST_TOKENS)',
      why: 'micro-batches are smaller than they are worth',
    },
    {
      find: 'cacheSlots: ceilDiv(limits.maxSequences, layout.attnDp),',
      replace: 'cacheSlots: limits.maxSequences,',
      why: 'every group has a cache for all sequences',
    },
  ]),
  ...faultsIn('src/runtime/layer/kernels.ts', { tests: ['runtime/limits.test.ts'] }, [
    {
      find: 'eps: model.rmsEps, residual: false }',
      replace: 'eps: 0, residual: false }',
      why: 'the norm before attention runs with an eps of 0',
    },
  ]),
  ...faultsIn('src/runtime/ends.ts', { tests: ['runtime/limits.test.ts'] }, [
    {
      find: 'eps: layout.model.rmsEps, residual: false }',
      replace: 'eps: 1e-5, residual: false }',
      why: 'the last norm has an eps of its own',
    },
  ]),
  ...faultsIn('src/runtime/step/row-places.ts', products, [
    {
      find: 'numRows: firstRow + numRows, ranks',
      replace: 'numRows, ranks',
      why: 'a shared product ends before the rows of the last rank',
    },
  ]),
  ...faultsIn('src/runtime/layer/attention-block.ts', products, [
    {
      find: '.view(4 * firstRow * projectedWidths(sizes)[name])',
      replace: '.view(0)',
      why: 'ranks that share projections have the rows of the first',
    },
    {
      find: "commands.copy(placeIn(w, sizes, place, 'normed'), partial.part(rank), bytes)",
      replace: 'commands.copy(w.rank(rank).normed, partial.part(rank), bytes)',
      why: 'a rank takes its attention output from its own scratch',
    },
  ]),
  ...faultsIn('src/runtime/pipeline.ts', products, [
    {
      find: 'this.#rowsPerOffset, apart);',
      replace: 'this.#rowsPerOffset, !apart);',
      why: 'ranks share projections where each is to have its own',
    },
  ]),
  ...faultsIn('src/runtime/ends.ts', spans, [
    {
      find: 'this.#stepRows, apart);',
      replace: 'this.#stepRows, false);',
      why: 'ranks share logits where each is to have its own',
    },
  ]),
  ...faultsIn('src/runtime/step/row-places.ts', spans, [
    {
      find: 'ofRanks(commands, ...product.ranks);',
      replace: 'ofRanks(commands, product.holder);',
      why: 'the time of a shared product is all of its holder',
    },
  ]),
  ...faultsIn('src/collectives/segments.ts', spans, [
    {
      find: 'commands.part(undefined);\n',
      replace: '',
      why: 'a collective within an operation is all of the last rank before it',
    },
  ]),
  ...faultsIn('src/runtime/step/span.ts', spans, [
    {
      find: 'step.projections.products.length * matrices',
      replace: 'busy.length * matrices',
      why: 'shared projections cost as many reads as there are ranks',
    },
    {
      find: 'step.logits.products.length * perRank',
      replace: 'new Set(busy.map(({ tp }) => tp)).size * perRank',
      why: 'the vocabulary counts once where it is read for each rank',
    },
  ]),
  ...faultsIn('src/profile/profile.ts', { tests: ['profile/account.test.ts'] }, [
    {
      find: "const apart = detail === 'dispatch';",
      replace: 'const apart = false;',
      why: 'ranks are timed by products that they share',
    },
  ]),
  ...faultsIn('src/runtime/ends.ts', products, [
    {
      find: 'from.view(4 * place.firstRow * columns.count)',
      replace: 'from.view(0)',
      why: 'ranks that share a product have the logits of the first',
    },
  ]),
  ...faultsIn(
    'src/runtime/pipeline.ts',
    { tests: ['runtime/engine.test.ts'], only: '(pieces|gives the same bits|ep=3,pp=2)' },
    [
      {
        find: 'const m = clock - stage.index;',
        replace: 'const m = clock;',
        why: 'all stages work on one micro-batch at once',
      },
      {
        find: 'this.#lengths.set(sequence, this.lengthOf(sequence) + ids.length);',
        replace: 'this.#lengths.set(sequence, ids.length);',
        why: 'a sequence forgets what was before its last step',
      },
      {
        find: '[...this.#stages].reverse().flatMap',
        replace: 'this.#stages.flatMap',
        why: 'stages of a clock run first to last',
      },
    ],
  ),
  ...faultsIn('src/memory/lists.ts', { tests: ['memory/lists.test.ts'] }, [
    {
      find: "...['k', 'v'].map(",
      replace: "...['k'].map(",
      why: 'values of the cache are not predicted',
    },
    {
      find: 'range(members).map((ep) => layout.rankAt({ replica: 0, stage, ep })),',
      replace: '[layout.rankAt({ replica: 0, stage, ep: 0 })],',
      why: 'only the first rank of a stage may be the fullest',
    },
    {
      find: 'numGroups: 1, owners: 1 };',
      replace: 'numGroups: 1 };',
      why: 'a rank of a cluster has room for the rows of its neighbours',
    },
  ]),
  ...faultsIn('src/memory/arrays.ts', { tests: ['memory/lists.test.ts'] }, [
    {
      find: 'return owners * receiveRows * expertDim;',
      replace: 'return receiveRows * expertDim;',
      why: 'ranks that share a stack have hidden rows for one',
    },
  ]),
  ...faultsIn(
    'src/kernels/routing/tiling.ts',
    { tests: ['runtime/engine.test.ts'], only: '(odd shapes ep=1|one rank takes)' },
    [
      {
        find: 'byteOffset + half, half)',
        replace: 'byteOffset, half)',
        why: 'the down projection runs over the grid of the up projection',
      },
    ],
  ),
  ...faultsIn(
    'src/ops/attention/pages.ts',
    {
      tests: ['ops/attention/paged-attention.shared.test.ts', 'ops/attention/pages.test.ts'],
      only: '(refuses|page)',
    },
    [
      { find: 'number < numPages', replace: 'number <= numPages', why: 'page N of N is accepted' },
      {
        find: 'page * pageSize < length; page++',
        replace: 'page * pageSize + pageSize <= length; page++',
        why: 'the last page of a sequence is not looked at',
      },
      {
        find: 'if (length > perSequence * pageSize) {',
        replace: 'if (length > perSequence * pageSize + 1) {',
        why: 'a sequence may have a key more than its pages hold',
      },
      {
        find: 'if (length < numQueries) {',
        replace: 'if (length + 1 < numQueries) {',
        why: 'a sequence may have a query more than keys',
      },
    ],
  ),
  ...faultsIn('src/ops/op-buffers.ts', { tests: ['ops/ops.shared.test.ts'] }, [
    {
      find: 'byteOffset + 4 * rows.first * width',
      replace: 'byteOffset + 0 * rows.first * width',
      why: 'every run of rows is the first',
    },
    {
      find: "floats.every((t) => t.dtype === 'f16') ? 'f16' : 'f32'",
      replace: "floats.some((t) => t.dtype === 'f16') ? 'f16' : 'f32'",
      why: 'one input in f16 makes the outputs f16',
    },
  ]),
];
