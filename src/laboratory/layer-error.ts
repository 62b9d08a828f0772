/**
 * What a policy does to the layer's output, modelled: every expert is a random map of a few numbers, y = sum of weight times
 * tanh(w x), and the error is |y - y of dropless| / |y of dropless| over all tokens. A row that waited is computed later, not
 * lost. Float64 on the host.
 */
import { at, range } from '../core/math.ts';
import { seededRandom } from '../core/random.ts';
import type { Admission, WaitingRow } from '../routing/admit.ts';
import type { Choices } from '../routing/choices.ts';
import { DROPPED } from '../routing/dispatch-plan.ts';
import type { ExpertPlacement } from '../routing/placement.ts';

/** Numbers of a row. A guess: the error changes in its third digit beyond. */
const WIDTH = 8;

export function layerError(
  microBatches: readonly (readonly Choices[])[],
  admissions: readonly Admission[],
  left: readonly WaitingRow[],
  placement: ExpertPlacement,
): number {
  const random = seededRandom(11);
  const experts = range(placement.numExperts).map(() => random.normals(WIDTH * WIDTH, WIDTH ** -0.5));
  // A row may wait for several micro-batches, so what is left is told by how many it has waited.
  const lost = new Set(
    left.map(({ age, source, entry }) => `${microBatches.length - age} ${source} ${entry}`),
  );
  let [difference, size] = [0, 0];
  microBatches.forEach((sources, m) => {
    sources.forEach(({ ids_TK, scores_TK, topK }, source) => {
      const { slots_TK, scores_TK: weights } = at(admissions, m);
      const waited = new Set(
        at(admissions, m)
          .waiting.filter((row) => row.age === 1 && row.source === source)
          .map(({ entry }) => entry),
      );
      for (let token = 0; token < ids_TK.length / topK; token++) {
        const x = random.normals(WIDTH);
        const [want, got] = [new Float64Array(WIDTH), new Float64Array(WIDTH)];
        for (let entry = token * topK; entry < (token + 1) * topK; entry++) {
          const [id, slot] = [at(ids_TK, entry), at(at(slots_TK, source), entry)];
          if (id === DROPPED) continue;
          addExpert(at(experts, id), x, at(scores_TK, entry), want);
          const later = waited.has(entry) && !lost.has(`${m} ${source} ${entry}`);
          if (later) addExpert(at(experts, id), x, at(scores_TK, entry), got);
          else if (slot !== DROPPED) {
            addExpert(at(experts, at(placement.expertOfSlot, slot)), x, at(at(weights, source), entry), got);
          }
        }
        for (let d = 0; d < WIDTH; d++) {
          difference += (at(got, d) - at(want, d)) ** 2;
          size += at(want, d) ** 2;
        }
      }
    });
  });
  return size === 0 ? 0 : Math.sqrt(difference / size);
}

function addExpert(w: Float32Array, x: Float32Array, weight: number, y: Float64Array): void {
  for (let d = 0; d < WIDTH; d++) {
    let total = 0;
    for (let i = 0; i < WIDTH; i++) total += at(w, d * WIDTH + i) * at(x, i);
    y[d] = at(y, d) + weight * Math.tanh(total);
  }
}
