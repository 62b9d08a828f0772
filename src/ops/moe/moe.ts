/** The routed layer: top-k, permutation, experts, combine. T tokens, D width, E experts, F expert width, K chosen. */
import { piecewise, type Pieces } from '../../core/async/pieces.ts';
import { ConfigError } from '../../core/errors.ts';
import { at, maxOf } from '../../core/math.ts';
import { roundsTo } from '../../kernels/own-budget.ts';
import type { Activation } from '../../model/config.ts';
import { gateTopK } from '../../reference/gate.ts';
import { matmul, matmulMagnitude } from '../../reference/matmul.ts';
import { moe as referenceMoe, moeMagnitude, type MoeInput, moeMoves } from '../../reference/moe.ts';
import { ableLocal, localVariants } from '../../routed/local.ts';
import { gamma } from '../../tensor/compare.ts';
import { BYTES_OF, toF64 } from '../../tensor/tensor.ts';
import { choiceAttr, numberAttr } from '../attrs.ts';
import { DIVISION, exponential, GELU, roundedTo, scoreRoundings } from '../budgets.ts';
import { BIAS_INPUT, biasValues, ROUTING_ATTRS, routingOf } from './gate-topk.ts';
import { type MoeSize, prepareMoe, routedShape } from './pipeline.ts';
import { type MoeDtypes, moeDtypes } from './weights.ts';
import { roundingError } from '../dense/rounded-operands.ts';
import { defineOp } from '../define.ts';
import { scoreMoves } from './score-moves.ts';
import type { OpInputs } from '../op.ts';
import { scaleRoundings, STORED_FLOATS, weightValues } from '../quantised-inputs.ts';
import { requirePositive, sizeOf } from '../shapes.ts';
import { bytesOfInputs, outputDtype, tensorOf } from '../op-buffers.ts';

const FLOATS = ['f32', 'f16'] as const;

type TypedSize = MoeSize & MoeDtypes;

export const moe = defineOp({
  name: 'moe',
  about: 'y = sum over the k chosen experts of score * (w2 (act(w1 x + b1) * (w3 x + b3)) + b2)',
  inputs: [
    { name: 'x', dims: '[T, D]', dtypes: FLOATS, about: 'token rows' },
    { name: 'logits', dims: '[T, E]', dtypes: FLOATS, optional: true, about: 'router logits' },
    {
      name: 'gate',
      dims: '[E, D]',
      dtypes: FLOATS,
      optional: true,
      about: 'router weights, in place of logits: they become x gate^T',
    },
    { name: 'w1', dims: '[E, F, D]', dtypes: STORED_FLOATS, quantised: true, about: 'gate projection' },
    {
      name: 'w3',
      dims: '[E, F, D]',
      dtypes: STORED_FLOATS,
      optional: true,
      quantised: true,
      about: 'up projection of gated experts',
    },
    {
      name: 'w2',
      dims: '[E, D, F]',
      dtypes: STORED_FLOATS,
      quantised: true,
      about:
        'down projection; what it is given is f32, so act * up beyond that is Infinity, below 2^-126 it may be 0',
    },
    { name: 'b1', dims: '[E, F]', dtypes: FLOATS, optional: true, about: 'bias of w1' },
    { name: 'b3', dims: '[E, F]', dtypes: FLOATS, optional: true, about: 'bias of w3' },
    { name: 'b2', dims: '[E, D]', dtypes: FLOATS, optional: true, about: 'bias of w2, inside the score' },
    BIAS_INPUT,
  ],
  outputs: [{ name: 'y', dims: '[T, D]', dtypes: FLOATS, about: 'combined rows' }],
  attrs: [
    ROUTING_ATTRS.k,
    ROUTING_ATTRS.score,
    { name: 'renormalize', kind: 'flag', default: true, about: 'divide the chosen scores by their sum' },
    ROUTING_ATTRS.groups,
    ROUTING_ATTRS.groupsKept,
    ROUTING_ATTRS.groupScore,
    ROUTING_ATTRS.scale,
    {
      name: 'activation',
      kind: 'choice',
      choices: ['silu', 'gelu', 'relu', 'identity', 'swiglu_oai'],
      default: 'silu',
      about: 'gelu in its tanh form; swiglu_oai is the clamped unit of gpt-oss',
    },
    { name: 'alpha', kind: 'number', default: 1.702, about: 'swiglu_oai: steepness of the sigmoid' },
    { name: 'beta', kind: 'number', default: 1, about: 'swiglu_oai: added to the clamped up value' },
    { name: 'limit', kind: 'number', default: 7, min: 0, about: 'swiglu_oai: bound of gate and up' },
  ],
  registry: 'moe',
  variants: localVariants,
  size: (inputs, dims): TypedSize => {
    requirePositive('moe', dims, ['D', 'E', 'F']);
    if (inputs.tensors.has('logits') === inputs.tensors.has('gate')) {
      const both = inputs.tensors.has('logits');
      throw new ConfigError(
        `moe: ${both ? 'both logits and gate are' : 'neither logits nor gate is'} given; give logits [T, E], or the router's weights gate [E, D].`,
      );
    }
    const gated = inputs.tensors.has('w3');
    const activation = choiceAttr<Activation>(inputs, 'activation');
    if (activation === 'swiglu_oai' && !gated) {
      throw new ConfigError(
        'moe: activation swiglu_oai is a gated unit; give w3 beside w1, or another activation.',
      );
    }
    if (inputs.tensors.has('b3') && !gated) {
      throw new ConfigError('moe: b3 is the bias of w3, which is not given; give w3, or leave b3 out.');
    }
    return {
      ...routingOf('moe', inputs, dims),
      ...moeDtypes(inputs),
      numTokens: sizeOf(dims, 'T'),
      modelDim: sizeOf(dims, 'D'),
      expertDim: sizeOf(dims, 'F'),
      gated,
      activation,
      clamp: {
        alpha: numberAttr(inputs, 'alpha'),
        beta: numberAttr(inputs, 'beta'),
        limit: numberAttr(inputs, 'limit'),
      },
    };
  },
  able: (gpu, size) => ableLocal(gpu, routedShape(size), size.numTokens),
  prepare: (gpu, inputs, size, variant) => prepareMoe(gpu, inputs, size, variant),
  *reference(inputs, size, _got, variant) {
    const input = yield* referenceInput(inputs, size);
    const { y_TD, ids_TK } = yield* referenceMoe.pieces(input);
    const roundings = scoreRoundings({ ...size, logits_TE: input.logits_TE, ids_TK });
    const { modelDim, expertDim, topK, upDtype, downDtype } = size;
    const ofScales = scaleRoundings(upDtype) + scaleRoundings(downDtype);
    const ofExpert = modelDim + expertDim + topK + activationRoundings(size.activation) + ofScales;
    const worst_T = Float64Array.from({ length: size.numTokens }, (_, t) =>
      maxOf(roundings.subarray(t * topK, (t + 1) * topK)),
    );
    const magnitude = yield* moeMagnitude.pieces(input);
    const errors = magnitude.map(
      (sum, i) => gamma(ofExpert + at(worst_T, Math.floor(i / modelDim))) * Math.abs(sum),
    );
    const errors_TE = yield* logitErrors(inputs, size);
    if (errors_TE !== undefined) {
      const moves_TK = scoreMoves({ ...size, logits_TE: input.logits_TE, ids_TK }, errors_TE);
      const moved = yield* moeMagnitude.pieces(input, moves_TK);
      moved.forEach((more, i) => (errors[i] = at(errors, i) + more));
    }
    const to = roundsTo('moe', variant);
    if (to !== undefined) {
      const rounding = { up: roundingError(to, upDtype), down: roundingError(to, downDtype) };
      const moved = yield* moeMoves.pieces(input, rounding);
      moved.forEach((more, i) => (errors[i] = at(errors, i) + more));
    }
    const budget = roundedTo(outputDtype(inputs), errors, y_TD);
    return new Map([['y', { values: y_TD, shape: [size.numTokens, modelDim], budget }]]);
  },
  cost: (inputs, size) => {
    const { numTokens, numExperts, topK, modelDim, expertDim, gated } = size;
    const perRow = 2 * modelDim * expertDim * (gated ? 3 : 2);
    const combine = 2 * numTokens * topK * modelDim;
    const router = inputs.tensors.has('gate') ? 2 * numTokens * numExperts * modelDim : 0;
    return {
      flops: numTokens * topK * perRow + combine + router,
      bytes: bytesOfUsed(inputs, size) + numTokens * modelDim * BYTES_OF[outputDtype(inputs)],
    };
  },
});

/** Weights of experts that no token chose are never read: their bytes do not count. */
function bytesOfUsed(inputs: OpInputs, size: MoeSize): number {
  const routed = { ...size, logits_TE: logitsOf(inputs, size), bias_E: biasValues(inputs) };
  const used = new Set(gateTopK(routed).ids_TK).size;
  const router = inputs.tensors.has('gate') ? 'gate' : 'logits';
  const always = tensorOf(inputs, 'x').data.byteLength + tensorOf(inputs, router).data.byteLength;
  return always + ((bytesOfInputs(inputs) - always) * used) / size.numExperts;
}

/**
 * Biases, products and the sigmoid: v sigmoid(v) is off by v e^-v (6 + 5 v) u at most, 4 u at v = 2.3.
 * tanh may be off by 1e-5.
 */
function activationRoundings(activation: Activation): number {
  return 4 + exponential(0) + DIVISION + 4 + (activation === 'gelu' ? GELU + 8 : 0);
}

/** As given, or x gate^T. */
const logitsOf = piecewise(function* (
  inputs: OpInputs,
  { numTokens, numExperts, modelDim }: MoeSize,
): Pieces<Float64Array> {
  const given = inputs.tensors.get('logits');
  if (given !== undefined) return toF64(given);
  const size = { m: numTokens, n: numExperts, k: modelDim };
  return yield* matmul.pieces(toF64(tensorOf(inputs, 'x')), toF64(tensorOf(inputs, 'gate')), size);
});

/** How far the logits' own sums may be off, [T, E]; undefined where the logits are given. */
function* logitErrors(
  inputs: OpInputs,
  { numTokens, numExperts, modelDim }: MoeSize,
): Pieces<Float64Array | undefined> {
  const gate = inputs.tensors.get('gate');
  if (gate === undefined) return undefined;
  const size = { m: numTokens, n: numExperts, k: modelDim };
  const bound = gamma(modelDim);
  const sums = yield* matmulMagnitude.pieces(toF64(tensorOf(inputs, 'x')), toF64(gate), size);
  return sums.map((sum) => bound * sum);
}

function* referenceInput(inputs: OpInputs, size: MoeSize): Pieces<MoeInput> {
  const values = (name: string): Float64Array => toF64(tensorOf(inputs, name));
  const given = (name: string): boolean => inputs.tensors.has(name);
  return {
    ...size,
    x_TD: values('x'),
    logits_TE: yield* logitsOf.pieces(inputs, size),
    bias_E: biasValues(inputs),
    w1_EFD: weightValues(inputs, 'w1'),
    ...(given('w3') && { w3_EFD: weightValues(inputs, 'w3') }),
    w2_EDF: weightValues(inputs, 'w2'),
    ...(given('b1') && { b1_EF: values('b1') }),
    ...(given('b3') && { b3_EF: values('b3') }),
    ...(given('b2') && { b2_ED: values('b2') }),
    swiglu: size.clamp,
  };
}
