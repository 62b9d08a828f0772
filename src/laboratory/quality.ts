/**
 * What overflow costs in quality: cross-entropy of a model whose every layer routes under a capacity, in float64 on the
 * host. Windows of text go through each layer together, since they share its experts' room; their tokens come in order
 * in micro-batches of one source. A row that waits for a later micro-batch is computed there, not lost.
 */
import { at, maxOf, range, sum } from '../core/math.ts';
import { weightNames, type WeightSource } from '../model/config.ts';
import { ReferenceCache } from '../reference/cache.ts';
import { crossEntropySum, embedding } from '../reference/embedding.ts';
import { beforeExperts, expertsOfLayer, readLayer } from '../reference/layer.ts';
import { matmul } from '../reference/matmul.ts';
import { rmsNorm } from '../reference/norm.ts';
import { admitAll, type Admission, type AdmitOptions, type WaitingRow } from '../routing/admit.ts';
import type { Choices } from '../routing/choices.ts';
import { DROPPED } from '../routing/dispatch-plan.ts';
import type { ExpertPlacement } from '../routing/placement.ts';
import { countIds } from '../routing/trace/trace.ts';
import { dealt } from '../routing/trace/replay.ts';
import { toF64 } from '../tensor/tensor.ts';

/** How the rows of each layer are admitted. */
export interface QualityCase extends Pick<AdmitOptions, 'policy' | 'capacity'> {
  readonly microBatches: number;
  /** Of a layer whose experts have this load when nothing is dropped. */
  readonly place: (load: readonly number[]) => Pick<AdmitOptions, 'deal'> & { placement: ExpertPlacement };
}

export interface Quality {
  /** Sum of -ln p over all predictions. */
  readonly nats: number;
  readonly rows: Readonly<Record<'offered' | 'dropped' | 'moved' | 'carried', number>>;
  /** Of the router's scores. */
  readonly massLostShare: number;
  /** Of the rows of each layer with experts. */
  readonly droppedShareOfLayers: readonly number[];
  /** Most rows that a slot may take in a micro-batch, of all layers; Infinity without a capacity. */
  readonly capacity: number;
}

export interface QualityLab {
  /** Predictions of all windows: each token but a window's first. */
  readonly predictions: number;
  /** Without any capacity. */
  readonly droplessNats: number;
  /** Without any capacity: rows of each expert, by layer. */
  readonly load_LE: readonly (readonly number[])[];
  run(test: QualityCase): Quality;
}

type Attended = ReturnType<typeof beforeExperts>;

/** What a layer does without any capacity: a run that drops nothing up to it begins behind it. */
interface Layer {
  /** [T, D] of all windows, before the experts and after them. */
  readonly attended: Attended;
  readonly left: Float64Array;
  readonly choices: Choices;
}

/** Runs all windows once without capacity. @param windows token ids, each from position 0 on. */
export function qualityLab(weights: WeightSource, windows: readonly (readonly number[])[]): QualityLab {
  const { config } = weights;
  const { modelDim, vocabSize, numExperts, topK, numKvHeads, headDim } = config;
  const read = (name: string): Float64Array => toF64(weights.get(name));
  const [table, finalNorm, lmHead] = [
    read(weightNames.embedding),
    read(weightNames.finalNorm),
    read(weightNames.lmHead),
  ];
  const layers = range(config.numLayers).map((layer) => readLayer(weights, layer));
  const starts = windows.map((_, i) => sum(windows.slice(0, i).map((ids) => ids.length)));
  const rowsOf = (x_TD: Float64Array, i: number): Float64Array =>
    x_TD.subarray(at(starts, i) * modelDim, (at(starts, i) + at(windows, i).length) * modelDim);

  const attend = (index: number, x_TD: Float64Array): Attended => {
    const [joined_TD, normed_TD] = [new Float64Array(x_TD.length), new Float64Array(x_TD.length)];
    windows.forEach((_, i) => {
      const cache = new ReferenceCache(config.numLayers, numKvHeads * headDim);
      const own = beforeExperts(config, at(layers, index).of, index, rowsOf(x_TD, i), cache);
      rowsOf(joined_TD, i).set(own.joined_TD);
      rowsOf(normed_TD, i).set(own.normed_TD);
    });
    return { joined_TD, normed_TD };
  };
  const natsOf = (x_TD: Float64Array): number => {
    const { y_TD } = rmsNorm({ x_TD, weight_D: finalNorm, eps: config.rmsEps });
    const m = y_TD.length / modelDim;
    const logits_TV = matmul(y_TD, lmHead, { m, n: vocabSize, k: modelDim });
    return sum(
      windows.map((ids, i) =>
        crossEntropySum(logits_TV.subarray(at(starts, i) * vocabSize), ids.slice(1), vocabSize),
      ),
    );
  };

  const first = embedding(table, windows.flat(), modelDim);
  const dropless: Layer[] = [];
  for (const [index, layer] of layers.entries()) {
    const attended = attend(index, dropless.at(-1)?.left ?? first);
    let choices: Choices = { numExperts, topK, ids_TK: [], scores_TK: [] };
    const { x_TD: left } = expertsOfLayer(config, layer, attended, ({ ids_TK, scores_TK }, all_TE) => {
      choices = { numExperts, topK, ids_TK, scores_TK, all_TE };
      return { ids_TK, scores_TK };
    });
    dropless.push({ attended, left, choices });
  }
  const load_LE = dropless.map(({ choices }) => countIds(choices.ids_TK, numExperts, topK));

  return {
    predictions: sum(windows.map((ids) => Math.max(0, ids.length - 1))),
    droplessNats: natsOf(dropless.at(-1)?.left ?? first),
    load_LE,
    run(test) {
      const found: Admitted[] = [];
      let x_TD = first;
      let isSame = true;
      for (const [index, layer] of layers.entries()) {
        const known = at(dropless, index);
        const { placement, deal } = test.place(at(load_LE, index));
        const options = { policy: test.policy, capacity: test.capacity, deal };
        const admit = (choices: Choices): Admitted => {
          const admitted = admittedOf(choices, test.microBatches, placement, options);
          found.push(admitted);
          return admitted;
        };
        const ready = isSame ? admit(known.choices) : undefined;
        if (ready !== undefined && ready.dropped + ready.moved === 0) {
          x_TD = known.left;
          continue;
        }
        const attended = isSame ? known.attended : attend(index, x_TD);
        isSame = false;
        x_TD = expertsOfLayer(
          config,
          layer,
          attended,
          (chosen, all_TE) => ready ?? admit({ numExperts, topK, ...chosen, all_TE }),
        ).x_TD;
      }
      return qualityOf(natsOf(x_TD), found);
    },
  };
}

interface Admitted {
  /** [T, K]; -1 where a row is lost. */
  readonly ids_TK: Int32Array;
  readonly scores_TK: Float64Array;
  readonly offered: number;
  readonly dropped: number;
  readonly moved: number;
  readonly carried: number;
  readonly mass: { readonly offered: number; readonly lost: number };
  readonly capacity: number;
}

function admittedOf(
  choices: Choices,
  microBatches: number,
  placement: ExpertPlacement,
  options: AdmitOptions,
): Admitted {
  const { ids_TK: chosen, scores_TK: own } = choices;
  const batches = dealt(choices, microBatches, 1);
  const { admissions, left } = admitAll(batches, placement, options);
  const ids_TK = Int32Array.from({ length: chosen.length }, () => -1);
  const scores_TK = new Float64Array(chosen.length);
  const lost = new Set(left.map(({ age, entry }) => `${microBatches - age} ${entry}`));
  let base = 0;
  admissions.forEach(({ slots_TK, scores_TK: weights, waiting }, m) => {
    const slots = at(slots_TK, 0);
    for (let i = 0; i < slots.length; i++) {
      const slot = at(slots, i);
      if (slot === DROPPED) continue;
      ids_TK[base + i] = at(placement.expertOfSlot, slot);
      scores_TK[base + i] = at(at(weights, 0), i);
    }
    for (const { age, entry } of waiting) {
      if (age !== 1 || lost.has(`${m} ${entry}`)) continue;
      ids_TK[base + entry] = at(chosen, base + entry);
      scores_TK[base + entry] = at(own, base + entry);
    }
    base += slots.length;
  });
  const total = (of: (admission: Admission) => number): number => sum(admissions.map(of));
  return {
    ...{ ids_TK, scores_TK },
    offered: total(({ rows }) => rows.offered),
    dropped: total(({ rows }) => rows.dropped) + left.length,
    moved: total(({ rows }) => rows.moved),
    carried: total(({ waiting }) => waiting.filter(isFresh).length),
    mass: {
      offered: total(({ mass }) => mass.offered),
      lost: total(({ mass }) => mass.lost) + sum(left.map(({ score }) => score)),
    },
    capacity: maxOf(
      admissions.flatMap(({ capacity }) => capacity),
      0,
    ),
  };
}

const isFresh = ({ age }: WaitingRow): boolean => age === 1;

function qualityOf(nats: number, found: readonly Admitted[]): Quality {
  const total = (of: (layer: Admitted) => number): number => sum(found.map(of));
  const mass = total((layer) => layer.mass.offered);
  return {
    nats,
    rows: {
      offered: total((layer) => layer.offered),
      dropped: total((layer) => layer.dropped),
      moved: total((layer) => layer.moved),
      carried: total((layer) => layer.carried),
    },
    massLostShare: mass === 0 ? 0 : total((layer) => layer.mass.lost) / mass,
    droppedShareOfLayers: found.map(({ dropped, offered }) => (offered === 0 ? 0 : dropped / offered)),
    capacity: maxOf(
      found.map(({ capacity }) => capacity),
      0,
    ),
  };
}
