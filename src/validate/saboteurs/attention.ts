/** Faults of attention, on one rank and on several. */
import { barrierSaboteurs, maskSaboteurs } from './attention-lanes.ts';
import type { Saboteur } from './saboteur.ts';

export const attentionSaboteurs: readonly Saboteur[] = [
  {
    name: 'sees one key too many',
    shader: 'attention/plain',
    find: 'numKeys = sequence.z - sequence.y + i + 1u;',
    replace: 'numKeys = min(sequence.z, sequence.z - sequence.y + i + 2u);',
    ...{ family: 'attention', caseName: 'primes', variant: 'plain' },
  },
  {
    name: 'reads the first key/value head for all',
    shader: 'attention/decode',
    find: 'let kvHead = h / (params.numHeads / params.numKvHeads);',
    replace: 'let kvHead = 0u * h;',
    ...{ family: 'attention', caseName: 'decode with a cache', variant: 'decode' },
  },
  {
    name: 'leaves out the last rank',
    shader: 'collectives/all-reduce',
    find: 'm < own.y',
    replace: 'm + 1u < own.y',
    ...{ family: 'tp-attention', caseName: 'two ranks', variant: 'plain' },
  },
  {
    name: 'sees one key beyond its window',
    shader: 'attention/plain',
    find: 'numKeys - min(numKeys, params.window)',
    replace: 'numKeys - min(numKeys, params.window + 1u)',
    ...{ family: 'attention', caseName: 'sliding window', variant: 'plain' },
  },
  {
    name: 'leaves scores uncapped',
    shader: 'attention/plain',
    find: 'return select(select(select(far, -far, score < 0.0), near, x < 0.625), score, isNaN(score));',
    replace: 'return select(score, far, x > 1e30);',
    ...{ family: 'attention', caseName: 'soft cap', variant: 'plain' },
  },
  {
    name: 'leaves sinks out of the sum',
    shader: 'attention/plain',
    find: 'denominator = sinkShare(sinks_H[h], highest);',
    replace: 'denominator = 0.0 * sinkShare(sinks_H[h], highest);',
    ...{ family: 'attention', caseName: 'sinks', variant: 'plain' },
  },
  {
    name: 'looks up the pages of the first sequence for all',
    shader: 'attention/plain',
    find: 'let page = slot * (params.cacheLength / params.pageSize)',
    replace: 'let page = 0u * slot * (params.cacheLength / params.pageSize)',
    ...{ family: 'paged-attention', caseName: 'decode in pages of 16', variant: 'plain' },
  },
  ...maskSaboteurs,
  ...barrierSaboteurs,
];
