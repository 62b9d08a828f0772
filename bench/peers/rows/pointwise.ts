/** What runs between products: RMSNorm with the residual connection, and rotary positions. */
import { inputsOf, opByName } from '../../../src/ops/ops.ts';
import { evenTensor } from '../inputs.ts';
import type { OrtJob } from '../contestants/ort.ts';
import { moebius, ort, type PeerRow, type Setup } from '../row.ts';
import { wholeTruth } from '../truth.ts';

const [ROWS, WIDTH] = [512, 1024];
const [POSITIONS, HEADS, HEAD] = [512, 16, 64];
const THETA = 10000;

export const pointwiseRows: readonly PeerRow[] = [
  {
    group: 'norm',
    name: `RMSNorm+residual ${ROWS}x${WIDTH}`,
    goals: [{ fast: 'moebius', slow: 'ort SkipSimplifiedLayerNorm', atLeast: 3 }],
    setup: normSetup,
  },
  {
    group: 'rope',
    name: `RoPE ${POSITIONS}x${HEADS}x${HEAD}`,
    goals: [{ fast: 'moebius', slow: 'ort RotaryEmbedding', atLeast: 3 }],
    setup: ropeSetup,
  },
];

function normSetup(): Setup {
  const shape = [ROWS, WIDTH];
  const tensors = {
    x: evenTensor('norm/x', shape),
    residual: evenTensor('norm/residual', shape),
    weight: evenTensor('norm/weight', [WIDTH]),
  };
  const input = (name: 'x' | 'residual') =>
    ({ name, type: 'float32', shape, data: tensors[name].data as Float32Array }) as const;
  const job = (): OrtJob => ({
    nodes: [
      {
        ...{ op: 'SkipSimplifiedLayerNormalization', microsoft: true },
        inputs: ['x', 'residual', 'weight'],
        outputs: ['y', '', '', 'sum'],
        attributes: { epsilon: 1e-5 },
      },
    ],
    inputs: [input('x'), input('residual')],
    outputs: [
      { name: 'y', type: 'float32', shape },
      { name: 'sum', type: 'float32', shape },
    ],
    constants: [{ name: 'weight', type: 'float32', shape: [WIDTH], data: tensors.weight.data }],
  });
  return {
    entrants: [
      moebius('moebius', () => ({ op: 'rms-norm', tensors, attrs: { eps: 1e-5 } })),
      ort('ort SkipSimplifiedLayerNorm', 'webgpu', job),
      ort('cpu SkipSimplifiedLayerNorm', 'cpu', job),
    ],
    truths: () => {
      const op = opByName('rms-norm');
      return wholeTruth(op.reference(inputsOf(op, tensors, { eps: 1e-5 })));
    },
  };
}

function ropeSetup(): Setup {
  const x = evenTensor('rope/x', [1, POSITIONS, HEADS, HEAD]);
  const { cos, sin } = caches();
  const shape = [1, POSITIONS, HEADS * HEAD];
  const positions = BigInt64Array.from({ length: POSITIONS }, (_, i) => BigInt(i));
  const job = (): OrtJob => ({
    nodes: [
      {
        ...{
          op: 'RotaryEmbedding',
          microsoft: true,
          inputs: ['x', 'positions', 'cos', 'sin'],
          outputs: ['y'],
        },
        attributes: { interleaved: 0, num_heads: HEADS, rotary_embedding_dim: HEAD },
      },
    ],
    inputs: [{ name: 'x', type: 'float32', shape, data: x.data as Float32Array }],
    outputs: [{ name: 'y', type: 'float32', shape }],
    constants: [
      { name: 'positions', type: 'int64', shape: [1, POSITIONS], data: positions },
      { name: 'cos', type: 'float32', shape: [POSITIONS, HEAD / 2], data: cos },
      { name: 'sin', type: 'float32', shape: [POSITIONS, HEAD / 2], data: sin },
    ],
  });
  const attrs = { theta: THETA };
  return {
    entrants: [
      moebius('moebius', () => ({ op: 'rope', tensors: { x }, attrs })),
      ort('ort RotaryEmbedding', 'webgpu', job),
      ort('cpu RotaryEmbedding', 'cpu', job),
    ],
    truths: () => {
      const op = opByName('rope');
      return wholeTruth(op.reference(inputsOf(op, { x }, attrs)));
    },
  };
}

/** Cosines and sines of all angles, [S, Dh/2] each. */
function caches(): { cos: Float32Array; sin: Float32Array } {
  const [cos, sin] = [new Float32Array((POSITIONS * HEAD) / 2), new Float32Array((POSITIONS * HEAD) / 2)];
  for (let s = 0; s < POSITIONS; s++) {
    for (let i = 0; i < HEAD / 2; i++) {
      const angle = s * THETA ** ((-2 * i) / HEAD);
      cos[(s * HEAD) / 2 + i] = Math.cos(angle);
      sin[(s * HEAD) / 2 + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
