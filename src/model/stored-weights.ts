/**
 * What becomes of a model's numbers when its matrices are stored in another dtype. Norms stay f32. Under int8, int4 and
 * mxfp4 the router's gate stays f32, since near ties choose the experts, as under bf16, and the embedding, a look-up, is f16.
 */
import { requireFields, requireGiven } from '../core/given.ts';
import { at } from '../core/math.ts';
import { quantise } from '../tensor/quantise.ts';
import { quantisedRows } from '../tensor/quantised-cuts.ts';
import {
  dequantise,
  type FloatWeight,
  type HostWeight,
  isQuantised,
  type WeightDtype,
} from '../tensor/quantised.ts';
import { castFloat, tensor, type Tensor } from '../tensor/tensor.ts';
import type { WeightSource } from './config.ts';
import { weightShapes } from './weight-shapes.ts';
import { type Part, placeOf } from './weights/parts.ts';

/** What the router reads its gate in. */
export type GateDtype = 'f32' | 'f16';

export function gateDtype(dtype: WeightDtype): GateDtype {
  return dtype === 'f16' ? 'f16' : 'f32';
}

export function embeddingDtype(dtype: WeightDtype): FloatWeight {
  return isQuantised(dtype) ? 'f16' : dtype;
}

/** What each kind of a model's matrices is stored in on the device; vectors are f32. */
export interface WeightDtypes {
  /** Projections of attention. */
  readonly attention: WeightDtype;
  /** Routed experts. */
  readonly experts: WeightDtype;
  /** Shared experts and those of layers without routing. */
  readonly units: WeightDtype;
  readonly head: WeightDtype;
  readonly gate: GateDtype;
  readonly embedding: FloatWeight;
}

export type WeightKind = keyof WeightDtypes;

/** One dtype for all, with the exceptions above. */
export function dtypesOf(dtype: WeightDtype): WeightDtypes {
  return {
    ...{ attention: dtype, experts: dtype, units: dtype, head: dtype },
    ...{ gate: gateDtype(dtype), embedding: embeddingDtype(dtype) },
  };
}

/**
 * One whole tensor as it is stored: parts are cut from it, so that every layout computes with the same numbers.
 * @throws ConfigError for a value that is not finite, or rows that do not fit, when it is quantised.
 */
export function storedWeight(source: WeightSource, name: string, dtypes: WeightDtypes): HostWeight {
  const dtype = dtypeOfPart(name, dtypes);
  if (dtype === 'mxfp4') {
    const packed = source.packed?.(name);
    if (packed !== undefined) return packed;
  }
  const weight = source.get(name);
  if (weight.shape.length === 1) return castFloat(weight, 'f32');
  return isQuantised(dtype) ? quantise(weight, dtype, name) : castFloat(weight, dtype);
}

const KIND: Readonly<Partial<Record<Part, keyof WeightDtypes>>> = {
  ...{ embedding: 'embedding', lmHead: 'head', gate: 'gate' },
  ...{ q: 'attention', k: 'attention', v: 'attention', o: 'attention' },
  ...{ w1: 'experts', w2: 'experts', w3: 'experts' },
  ...{ sharedW1: 'units', sharedW2: 'units', sharedW3: 'units', sharedGate: 'units' },
  ...{ denseW1: 'units', denseW2: 'units', denseW3: 'units' },
};

/** The kind of matrix that a tensor is; undefined of what is none, and of a name that is none of a model. */
export function kindOf(name: string): WeightKind | undefined {
  return KIND[placeOf(name)?.part ?? 'finalNorm'];
}

/** What a tensor is stored in; f32 of what is of no kind. */
export function dtypeOfPart(name: string, dtypes: WeightDtypes): WeightDtype {
  const kind = kindOf(name);
  return kind === undefined ? 'f32' : dtypes[kind];
}

/**
 * What the files hold, where kernels read it as it is: f16 and bf16, and mxfp4 of experts. A kind whose tensors differ, or
 * that no kernel reads (fp8, a gate in bf16), is f32, which holds all of them exactly.
 */
export function storedDtypes(source: WeightSource): WeightDtypes {
  requireFields('The weights', source, { config: 'record', get: 'function' });
  const seen = new Map<keyof WeightDtypes, Set<string>>();
  for (const [name] of weightShapes(source.config)) {
    const kind = kindOf(name);
    if (kind === undefined) continue;
    seen.set(kind, (seen.get(kind) ?? new Set()).add(source.storedAs?.(name) ?? 'f32'));
  }
  const only = (kind: keyof WeightDtypes): string | undefined => {
    const found = [...(seen.get(kind) ?? [])];
    return found.length === 1 ? found[0] : undefined;
  };
  const float = (kind: keyof WeightDtypes): FloatWeight => {
    const found = only(kind);
    return found === 'f16' || found === 'bf16' ? found : 'f32';
  };
  return {
    ...{ attention: float('attention'), units: float('units'), head: float('head') },
    ...{ gate: gateDtype(float('gate')), embedding: float('embedding') },
    experts: only('experts') === 'mxfp4' ? 'mxfp4' : float('experts'),
  };
}

/** Rows [first, first + count) of a matrix as they are stored: each row has its own scales, so none of the others is needed. */
export function storedRows(
  source: WeightSource,
  name: string,
  dtypes: WeightDtypes,
  { first, count }: { readonly first: number; readonly count: number },
): HostWeight {
  const stored = dtypeOfPart(name, dtypes);
  const packed = stored === 'mxfp4' ? source.packed?.(name) : undefined;
  if (packed !== undefined) return quantisedRows(packed, { first, count });
  const { dtype, shape, data } = source.get(name);
  const width = at(shape, 1);
  const rows = tensor(dtype, [count, width], data.subarray(first * width, (first + count) * width));
  const what = first === 0 ? name : `${name}, counted from row ${first}, `;
  return isQuantised(stored) ? quantise(rows, stored, what) : castFloat(rows, stored);
}

/** The numbers of a stored weight. */
export function valuesOf(stored: HostWeight): Tensor {
  return 'format' in stored ? dequantise(stored) : stored;
}

/** The same model with the numbers that are left of its weights when they are stored in `dtype`: for references. */
export function storedValues(source: WeightSource, dtype: WeightDtype): WeightSource {
  requireFields('The weights', source, { config: 'record', get: 'function' });
  requireGiven('The dtype', dtype, 'string');
  return storedValuesBy(source, dtypesOf(dtype), dtype);
}

/** The same where kinds of matrices differ. @param what says how they are stored. */
export function storedValuesBy(source: WeightSource, dtypes: WeightDtypes, what: string): WeightSource {
  return {
    config: source.config,
    origin: `${source.origin}, stored in ${what}`,
    ...(source.load && { load: (names) => source.load?.(names) ?? Promise.resolve() }),
    get(name) {
      return valuesOf(storedWeight(source, name, dtypes));
    },
  };
}
