/** Logits whose choice every correct f32 implementation shares, where scores and not logits are compared. */
import { at, minOf, range } from '../../core/math.ts';
import { gateTopK, type GateInput } from '../../reference/gate.ts';
import { f32Tensor, type Tensor, toF64 } from '../../tensor/tensor.ts';
import type { Maker } from './maker.ts';

/** Scores are at most 1 and their f32 error is some hundred u: no two that the choice hangs on are this close. */
const MARGIN = 5e-5;
/** Before the sizes are said to hold no such scores. A guess. */
const MOST_DRAWS = 1000;

/** How the tokens are to be routed; a bias as it is given to the kernel. */
export type Routed = Omit<GateInput, 'logits_TE' | 'bias_E'> & { readonly bias?: Tensor };

/** Normal logits [tokens, E]; a row is drawn again while two of its first K + 1 scores or its groups are too close. */
export function separatedLogits(make: Maker, tokens: number, routed: Routed): Tensor {
  const { numExperts, bias } = routed;
  const bias_E = bias && toF64(bias);
  const logits = new Float32Array(tokens * numExperts);
  for (const t of range(tokens)) {
    let row = make.random.normals(numExperts);
    for (let draws = 1; closest(row, { ...routed, bias_E }) < MARGIN; draws++) {
      if (draws === MOST_DRAWS) throw new RangeError(`no separated logits in ${MOST_DRAWS} draws`);
      row = make.random.normals(numExperts);
    }
    logits.set(row, t * numExperts);
  }
  return f32Tensor([tokens, numExperts], logits);
}

/** Whether logits [T, E] that are what they are leave every choice a margin. */
export function areSeparated(logits: Float64Array, routed: Routed): boolean {
  const { numExperts, bias } = routed;
  const bias_E = bias && toF64(bias);
  return range(logits.length / numExperts).every((t) => {
    const row = logits.subarray(t * numExperts, (t + 1) * numExperts);
    return !(closest(row, { ...routed, bias_E }) < MARGIN);
  });
}

/** The least gap of all choices of 1 to K experts. */
function closest(row: Float32Array | Float64Array, routed: Omit<GateInput, 'logits_TE'>): number {
  const gaps = range(routed.topK).map((k) =>
    at(gateTopK({ ...routed, topK: k + 1, logits_TE: Float64Array.from(row) }).gap_T, 0),
  );
  return minOf(gaps);
}
