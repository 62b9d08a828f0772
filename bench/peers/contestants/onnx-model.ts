/** ONNX models of a few nodes, made in memory: the part of the file format that they need, and nothing of ONNX. */
import protobuf from 'protobufjs';

/** Field numbers as in onnx.proto; what is left out here is left out of the file. */
const SCHEMA = `syntax = "proto2";
message Attribute {
  optional string name = 1; optional float f = 2; optional int64 i = 3; optional bytes s = 4; optional int32 type = 20;
}
message Node {
  repeated string input = 1; repeated string output = 2; optional string name = 3; optional string op_type = 4;
  repeated Attribute attribute = 5; optional string domain = 7;
}
message Constant {
  repeated int64 dims = 1; optional int32 data_type = 2; optional string name = 8; optional bytes raw_data = 9;
}
message Dimension { optional int64 dim_value = 1; }
message Shape { repeated Dimension dim = 1; }
message TensorType { optional int32 elem_type = 1; optional Shape shape = 2; }
message ValueType { optional TensorType tensor_type = 1; }
message Value { optional string name = 1; optional ValueType type = 2; }
message Graph {
  repeated Node node = 1; optional string name = 2; repeated Constant initializer = 5;
  repeated Value input = 11; repeated Value output = 12;
}
message Opset { optional string domain = 1; optional int64 version = 2; }
message Model { optional int64 ir_version = 1; optional Graph graph = 7; repeated Opset opset_import = 8; }`;

const modelType = protobuf.parse(SCHEMA, { keepCase: true }).root.lookupType('Model');

/** Element types by the names that ONNX Runtime's JavaScript gives them, with their numbers in the file. */
const ELEMENT = { float32: 1, uint8: 2, int32: 6, int64: 7, float16: 10 } as const;
export type OrtType = keyof typeof ELEMENT;

export interface OnnxValue {
  readonly name: string;
  readonly type: OrtType;
  readonly shape: readonly number[];
}

/** A constant of the model: weights, which a session keeps where its nodes run. */
export interface OnnxConstant extends OnnxValue {
  readonly data: ArrayBufferView;
}

export interface OnnxNode {
  readonly op: string;
  /** Names of values; '' for an optional one that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Whole numbers become integers; write `{ float: 1 }` for a number that the operator wants as a float. */
  readonly attributes?: Readonly<Record<string, number | string | { readonly float: number }>>;
  /** ONNX Runtime's own operators. */
  readonly microsoft?: boolean;
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly constants?: readonly OnnxConstant[];
}

const MICROSOFT = 'com.microsoft';
/** Kinds of attribute in the file. */
const KIND = { float: 1, integer: 2, text: 3 } as const;

/** Bytes of a model file. */
export function onnxModel({ nodes, inputs, outputs, constants = [] }: OnnxGraph): Uint8Array {
  const graph = {
    name: 'peer',
    node: nodes.map((node, i) => ({
      name: `${node.op} ${i}`,
      op_type: node.op,
      domain: node.microsoft === true ? MICROSOFT : '',
      input: node.inputs,
      output: node.outputs,
      attribute: Object.entries(node.attributes ?? {}).map(([name, value]) => attributeOf(name, value)),
    })),
    initializer: constants.map(({ name, type, shape, data }) => ({
      ...{ name, dims: shape, data_type: ELEMENT[type] },
      raw_data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    })),
    input: inputs.map(valueOf),
    output: outputs.map(valueOf),
  };
  const opset_import = [
    { domain: '', version: 21 },
    { domain: MICROSOFT, version: 1 },
  ];
  return modelType.encode(modelType.fromObject({ ir_version: 10, opset_import, graph })).finish();
}

/** What a file says, for tests. */
export function readOnnxModel(bytes: Uint8Array): unknown {
  return modelType.toObject(modelType.decode(bytes), { longs: Number, bytes: Array, defaults: false });
}

function attributeOf(name: string, value: number | string | { readonly float: number }): object {
  if (typeof value === 'string') return { name, type: KIND.text, s: new TextEncoder().encode(value) };
  if (typeof value === 'number' && Number.isInteger(value)) return { name, type: KIND.integer, i: value };
  return { name, type: KIND.float, f: typeof value === 'number' ? value : value.float };
}

function valueOf({ name, type, shape }: OnnxValue): object {
  const dim = shape.map((size) => ({ dim_value: size }));
  return { name, type: { tensor_type: { elem_type: ELEMENT[type], shape: { dim } } } };
}
