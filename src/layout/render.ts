import { invariant } from '../core/errors.ts';
import { requireFields } from '../core/given.ts';
import { at, maxOf } from '../core/math.ts';
import { formatBytes, formatSi } from '../core/units.ts';
import type { GroupExample, LayoutExplanation, RankShare } from './explain.ts';
import { drawReplica } from './replica-map.ts';
import { renderPlacement } from './placement-table.ts';
import { formatFactors } from './readings.ts';
import type { RankAxis, Run } from './layout.ts';
import { alignColumns, formatIds, formatRanks, formatRun, plural, wrap } from './text.ts';

/** A layout told to a person, at most 80 columns wide: two views, a map, one sentence per axis, the weights. */
export function renderExplanation(explanation: LayoutExplanation): string {
  requireFields('The explanation', explanation, { spec: 'record', groups: 'list', ranks: 'list' });
  return [
    ...title(explanation),
    '',
    ...views(explanation),
    '',
    ...drawReplica(explanation),
    '',
    ...(explanation.placement === undefined ? [] : [...renderPlacement(explanation.placement), '']),
    ...sentences(explanation),
    '',
    ...weights(explanation),
  ].join('\n');
}

function title({ layout, model, worldSize }: LayoutExplanation): string[] {
  return wrap(`${layout} with model ${model}: ${plural(worldSize, 'GPU')}`, '', '  ');
}

function views(explanation: LayoutExplanation): string[] {
  const { ep, tp } = explanation.spec;
  const note =
    ep === 1
      ? 'EP is 1: every rank holds all experts of its stage.'
      : `EP is folded over the attention ranks, so it does not multiply the world: the ${ep} ranks that hold the ` +
        `experts of a stage are also its ${plural(ep / tp, 'TP group')} of ${tp}.`;
  return [
    `Two views of the same ${plural(explanation.worldSize, 'rank')}`,
    `  attention  ${formatFactors(explanation.views.attention)}`,
    `  experts    ${formatFactors(explanation.views.expert)}`,
    ...wrap(note, '  ', '  '),
  ];
}

function sentences(explanation: LayoutExplanation): string[] {
  const me = exampleOf(explanation);
  const place =
    `replica ${me.replica}, stage ${me.stage}, expert index ${me.ep}, ` +
    `TP group ${me.tpGroup}, TP index ${me.tp}`;
  const size = (axis: RankAxis): number => groupOf(explanation, axis).size;
  const told: [label: string, text: string][] = [
    [`TP ${size('tp')}`, tpSentence(explanation, me)],
    [`EP ${size('ep')}`, epSentence(explanation, me)],
    [`PP ${size('pp')}`, ppSentence(explanation, me)],
    [`DP ${size('edp')}`, dpSentence(explanation, me)],
    [`attnDP ${size('attnDp')}`, attnDpSentence(explanation, me)],
  ];
  const indent = maxOf(told.map(([label]) => label.length)) + 4;
  return [
    ...wrap(`One rank followed along every axis: rank ${me.rank} (${place})`, '', '  '),
    ...told.flatMap(([label, text]) => wrap(text, `  ${label}`.padEnd(indent), ' '.repeat(indent))),
  ];
}

function tpSentence(explanation: LayoutExplanation, me: RankShare): string {
  const { size, ranks } = groupOf(explanation, 'tp');
  if (size === 1) {
    return `Rank ${me.rank} computes all ${plural(me.heads.count, 'head')} of its tokens alone; nothing to sum.`;
  }
  return (
    `Ranks ${formatRanks(ranks)} share one attention block: rank ${me.rank} computes ` +
    `${runOf('head', me.heads)} with ${runOf('KV head', me.kvHeads)}. A reduce-scatter sums the parts and leaves ` +
    `it 1/${size} of the tokens for the experts; an all-gather brings the tokens back.`
  );
}

function epSentence(explanation: LayoutExplanation, me: RankShare): string {
  const { size, ranks } = groupOf(explanation, 'ep');
  const own =
    explanation.placement === undefined
      ? runOf('expert', me.experts)
      : `expert${me.expertIds.length === 1 ? '' : 's'} ${formatIds(me.expertIds)}`;
  if (size === 1) return `Rank ${me.rank} owns ${own} of its layers: no token travels.`;
  return (
    `Ranks ${formatRanks(ranks)} own all experts of stage ${me.stage}; rank ${me.rank} owns ${own}. An ` +
    `all-to-all brings it the tokens that any of the ${size} routed there, and a second one sends the results home.`
  );
}

function ppSentence(explanation: LayoutExplanation, me: RankShare): string {
  const { size, ranks } = groupOf(explanation, 'pp');
  const layers = runOf('layer', me.layers);
  if (size === 1) return `Rank ${me.rank} runs ${layers}, the whole depth: no hand-over.`;
  const before = me.stage === 0 ? 'the embedding' : `rank ${at(ranks, me.stage - 1)}`;
  const after = me.stage === size - 1 ? 'the LM head' : `rank ${at(ranks, me.stage + 1)}`;
  return (
    `Stage ${me.stage} runs ${layers}: rank ${me.rank} takes activations from ${before} and hands them to ${after} ` +
    `(the chain is ranks ${formatRanks(ranks)}).`
  );
}

function dpSentence(explanation: LayoutExplanation, me: RankShare): string {
  const { size, ranks } = groupOf(explanation, 'edp');
  if (size === 1) return `There is one replica, so rank ${me.rank} has no copy to fall back to.`;
  return (
    `Ranks ${formatRanks(ranks)} are copies of each other, one per replica: the same weights, ` +
    `other requests, and no traffic between them.`
  );
}

function attnDpSentence(explanation: LayoutExplanation, me: RankShare): string {
  const groups = explanation.attnDp;
  if (groups === 1) return 'One TP group serves every sequence.';
  const mine = me.replica * explanation.tpGroupsPerStage + me.tpGroup;
  return (
    `The ${groups} TP groups of a stage attend to different sequences: sequence s goes to group s mod ${groups}, ` +
    `so rank ${me.rank}, in group ${mine}, serves sequences ${mine}, ${mine + groups}, ${mine + 2 * groups}, ...`
  );
}

function weights(explanation: LayoutExplanation): string[] {
  const { ranks, spec, bytesPerWeight, modelParams, storedParams, worldSize } = explanation;
  const firstOfStage = ranks.filter((share) => share.replica === 0 && share.ep === 0);
  const runs: { first: number; last: number; share: RankShare }[] = [];
  for (const share of firstOfStage) {
    const previous = runs.at(-1);
    const isSame = previous !== undefined && weightCells(previous.share).join() === weightCells(share).join();
    if (isSame) previous.last = share.stage;
    else runs.push({ first: share.stage, last: share.stage, share });
  }
  const rows = runs.map(({ first, last, share }) => {
    return [formatRun({ first, count: last - first + 1 }), ...weightCells(share)];
  });
  const held =
    storedParams === modelParams
      ? `${plural(worldSize, 'rank')} hold${worldSize === 1 ? 's' : ''} exactly that`
      : `${worldSize} ranks hold ${count(storedParams)}, ${(storedParams / modelParams).toFixed(2)} copies ` +
        `(${plural(spec.dp, 'replica')}; norms, gate, attention and vocabulary repeat inside one)`;
  const summary = `One copy of the model is ${count(modelParams)} weights; ${held}.`;
  return [
    `Weights of one rank, at ${plural(bytesPerWeight, 'byte')} each`,
    ...alignColumns([
      ['stage', 'layers', 'attention', 'experts', 'gate+norm', 'vocab', 'total', 'bytes'],
      ...rows,
    ]),
    ...wrap(summary, '  ', '  '),
  ];
}

function weightCells({ params, layers, bytes }: RankShare): string[] {
  const { attention, experts, gate, norms, embedding, lmHead, total } = params;
  const weightsOf = [attention, experts, gate + norms, embedding + lmHead, total];
  return [String(layers.count), ...weightsOf.map(count), formatBytes(bytes)];
}

/** 'expert 5', 'heads 8-15' */
function runOf(noun: string, run: Run): string {
  return `${noun}${run.count === 1 ? '' : 's'} ${formatRun(run)}`;
}

function count(weightsNumber: number): string {
  return formatSi(weightsNumber, '').trim();
}

function groupOf({ groups }: LayoutExplanation, axis: RankAxis): GroupExample {
  const group = groups.find((candidate) => candidate.axis === axis);
  invariant(group !== undefined, () => `the explanation has no ${axis} group`);
  return group;
}

function exampleOf({ ranks, exampleRank }: LayoutExplanation): RankShare {
  return at(ranks, exampleRank);
}
