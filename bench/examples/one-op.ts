/** One op on tensors of one's own, held against float64 under the op's own error budget. */
import {
  compare,
  describe,
  f32Tensor,
  inputsOf,
  nodePlatform,
  opByName,
  openGpu,
  runOp,
  toF64,
} from 'moebius';

const gpu = await openGpu(nodePlatform());
console.log(`matmul on ${gpu.facts.name}`);

// Two rows of width 4 by a weight of three: c [2, 3] = a [2, 4] * b [3, 4] transposed.
const tensors = {
  a: f32Tensor([2, 4], [1, 2, 3, 4, 5, 6, 7, 8]),
  b: f32Tensor([3, 4], [1, 1, 1, 1, 1, 0, 0, 0, 0.5, 0, 0, -0.5]),
};
const outputs = await runOp(gpu, 'matmul', tensors);

const matmul = opByName('matmul');
for (const [name, { values, shape, budget }] of matmul.reference(inputsOf(matmul, tensors))) {
  const output = outputs.get(name);
  const result = compare(output ? toF64(output) : [], values, shape, budget);
  console.log(`${name} = ${output?.data.join(' ')}: ${describe(name, result)}`);
  if (!result.pass) process.exitCode = 1;
}
gpu.destroy();
