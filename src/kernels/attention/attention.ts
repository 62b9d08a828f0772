/**
 * Attention of a ragged batch against a KV cache: o = softmax(scale q k^T) v, grouped-query when Hkv < H.
 * Queries are the last qLen of kvLen positions of their sequence.
 */
import { invariant } from '../../core/errors.ts';
import { requireGiven, requireGpu } from '../../core/given.ts';
import { partsOf, partsPay, partsWords } from '../../core/key-parts.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { gridPieces } from './grid.ts';
import { MERGE_BLOCK, prepareMerge } from './merge.ts';
import { type AttentionShape, attentionVariants, sharesHeads } from './variants.ts';
import { chooseVariant, preferring } from '../variants.ts';

/** A compiled attention, to be recorded any number of times over batches of its shape. */
export interface Attention {
  readonly variant: string;
  /** Words of scratch that `numRows` rows of q need; 0 when the variant needs none. */
  scratchWords(numRows: number): number;
  /**
   * `sequences`: 4 u32 each: first row of q, qLen, kvLen, cache slot; with pages followed by the page numbers of slot 0,
   * then slot 1, ..., cacheLength / pageSize of each. `maxQueries` is the longest qLen. Counts beyond what a dispatch takes
   * are recorded in several.
   */
  record(
    commands: CommandList,
    p: { numSequences: number; maxQueries: number },
    t: {
      q: Bindable;
      k: Bindable;
      v: Bindable;
      sequences: Bindable;
      o: Bindable;
      sinks?: Bindable;
      scratch?: Bindable | undefined;
    },
  ): void;
}

/**
 * On CPU adapters a load costs tens of multiply-adds and a barrier more; a GPU starts with workgroup tiles. Its keys
 * are cut into parts where sequences and heads are too few to keep it busy.
 */
function bestFirst(gpu: Gpu, shape: AttentionShape): typeof attentionVariants {
  const few = shape.queries <= 4;
  const onGpu = gpu.kernelsFor === 'gpu';
  if (!few && onGpu) return attentionVariants;
  // Where subgroups are narrow: a GPU's tiles of 4 x 4 were no faster there, and results stay as they were.
  if (!few) return preferring(preferring(attentionVariants, 'flash'), 'subgroup');
  const whole = preferring(attentionVariants, 'decode');
  const order = preferring(whole, onGpu ? 'decode-heads' : 'decode-subgroup');
  const { numSequences = 1, queries, numHeads, numKvHeads } = shape;
  const workgroups = numSequences * queries * (sharesHeads(gpu) ? numKvHeads : numHeads);
  const split = onGpu && partsPay(workgroups, keysSeen(shape));
  return split ? preferring(preferring(order, 'split'), 'split-heads') : order;
}

function keysSeen({ cacheLength, window = 0 }: AttentionShape): number {
  return window > 0 ? Math.min(window, cacheLength) : cacheLength;
}

function chosenVariant(gpu: Gpu, shape: AttentionShape, requested?: string) {
  return chooseVariant('attention', bestFirst(gpu, shape), shape, gpu, requested);
}

/** Whether `prepareAttention` will cut the keys into parts, without preparing. */
export function splitsKeys(gpu: Gpu, shape: AttentionShape): boolean {
  return chosenVariant(gpu, shape).split ?? false;
}

/**
 * Chooses and compiles attention for a shape. `requested` names a variant; by default the batch to expect decides.
 * @throws ConfigError when the requested variant does not exist or cannot run.
 */
export async function prepareAttention(
  gpu: Gpu,
  shape: AttentionShape,
  requested?: string,
): Promise<Attention> {
  requireGpu(gpu);
  requireGiven('The shape', shape, 'record');
  const variant = chosenVariant(gpu, shape, requested);
  const { split = false } = variant;
  const { numHeads, numKvHeads, headDim, cacheLength, scale, window = 0, softcap = 0, pageSize = 0 } = shape;
  const [kernel, joining] = await Promise.all([
    gpu.kernel(variant.kernel, variant.spec(shape, gpu)),
    split ? prepareMerge(gpu, { headDim, sinks: shape.sinks ?? false }) : undefined,
  ]);
  const fixed = { numHeads, numKvHeads, headDim, cacheLength, scale, window, softcap, pageSize };
  const parts = split ? partsOf(keysSeen(shape)) : { numParts: 1, keysPerPart: 0 };
  const causal = Number(shape.causal);
  const block = variant.block(shape, parts.numParts, gpu);
  const most = gpu.limits.maxComputeWorkgroupsPerDimension;
  // Scores and sums of a block of queries that sees all that it may.
  const flopsOfWorkgroup =
    (4 * headDim * keysSeen(shape) * block.queries * (block.heads ?? 1)) / block.workgroups;
  return {
    variant: variant.name,
    scratchWords: (numRows) => (split ? partsWords(numRows, numHeads, headDim, keysSeen(shape)) : 0),
    record: (commands, p, { q, k, v, sequences, o, sinks, scratch }) => {
      invariant(
        (sinks !== undefined) === (shape.sinks ?? false),
        () => 'sinks are given exactly when the kernel was prepared for them',
      );
      invariant(!split || scratch !== undefined, () => `attention ${variant.name} was given no scratch`);
      const target = split && scratch !== undefined ? scratch : o;
      const mostInAll = gpu.mostDispatchFlops / flopsOfWorkgroup;
      for (const { first, grid } of gridPieces(block, { ...p, numHeads }, most, mostInAll)) {
        commands.dispatch(
          kernel,
          { ...fixed, ...parts, ...p, ...first, causal },
          { q_THD: q, k_RHD: k, v_RHD: v, sequences, o_THD: target, sinks_H: sinks ?? q },
          grid,
        );
      }
      if (joining === undefined) return;
      for (const { first, grid } of gridPieces(MERGE_BLOCK, { ...p, numHeads }, most)) {
        commands.dispatch(
          joining,
          { ...parts, ...p, ...first, numHeads, causal, window },
          { parts_THPD: target, sequences, o_THD: o, sinks_H: sinks ?? sequences },
          grid,
        );
      }
    },
  };
}
