import { describe, expect, test } from 'vitest';
import { onnxModel, readOnnxModel, type OnnxNode } from '../../../bench/peers/contestants/onnx-model.ts';

const value = (name: string) => ({ name, type: 'float32', shape: [2, 3] }) as const;
const modelOf = (node: OnnxNode) =>
  readOnnxModel(onnxModel({ nodes: [node], inputs: [value('x')], outputs: [value('y')] }));

test('a model says what its graph says', () => {
  const bytes = onnxModel({
    nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
    inputs: [{ name: 'x', type: 'float32', shape: [1, 2] }],
    outputs: [{ name: 'y', type: 'float32', shape: [1, 1] }],
    constants: [{ name: 'w', type: 'float32', shape: [2, 1], data: Float32Array.of(1, -2) }],
  });
  const shape = (...sizes: number[]) => ({ dim: sizes.map((dim_value) => ({ dim_value })) });
  expect(readOnnxModel(bytes)).toEqual({
    ir_version: 10,
    opset_import: [
      { domain: '', version: 21 },
      { domain: 'com.microsoft', version: 1 },
    ],
    graph: {
      name: 'peer',
      node: [{ name: 'MatMul 0', op_type: 'MatMul', domain: '', input: ['x', 'w'], output: ['y'] }],
      initializer: [{ name: 'w', dims: [2, 1], data_type: 1, raw_data: [0, 0, 128, 63, 0, 0, 0, 192] }],
      input: [{ name: 'x', type: { tensor_type: { elem_type: 1, shape: shape(1, 2) } } }],
      output: [{ name: 'y', type: { tensor_type: { elem_type: 1, shape: shape(1, 1) } } }],
    },
  });
});

test('the bytes are those of the format: field 1 of the model is its version', () => {
  const bytes = onnxModel({ nodes: [], inputs: [], outputs: [] });
  expect([...bytes.subarray(0, 2)]).toEqual([0x08, 10]);
});

describe('attributes', () => {
  test('have the kind that their value shows, or asks for', () => {
    const attributes = { axis: -1, epsilon: 0.5, alpha: { float: 1 }, activation_type: 'silu' };
    expect(modelOf({ op: 'Any', inputs: ['x'], outputs: ['y'], attributes })).toMatchObject({
      graph: {
        node: [
          {
            attribute: [
              { name: 'axis', type: 2, i: -1 },
              { name: 'epsilon', type: 1, f: 0.5 },
              { name: 'alpha', type: 1, f: 1 },
              { name: 'activation_type', type: 3, s: [...new TextEncoder().encode('silu')] },
            ],
          },
        ],
      },
    });
  });
});

test("ONNX Runtime's own operators are in its domain, and an input that is left out keeps its place", () => {
  const model = modelOf({ op: 'QMoE', microsoft: true, inputs: ['x', '', 'x'], outputs: ['y'] });
  expect(model).toMatchObject({ graph: { node: [{ domain: 'com.microsoft', input: ['x', '', 'x'] }] } });
});

test('a constant that is a part of a larger array brings its own bytes only', () => {
  const data = Uint8Array.of(1, 2, 3, 4).subarray(1, 3);
  const constants = [{ name: 'w', type: 'uint8', shape: [2], data }] as const;
  const model = readOnnxModel(onnxModel({ nodes: [], inputs: [], outputs: [], constants }));
  expect(model).toMatchObject({ graph: { initializer: [{ raw_data: [2, 3], data_type: 2 }] } });
});
