/**
 * Compiles the kernels of every family, each variant in each format, for whatever driver the environment shows, so that
 * what its compiler made of them can be compared before and after a change. Nothing runs. See README.md.
 *
 *   node --import ./src/cli/typescript.js bench/isa/capture.ts OUT [ADAPTER] [--only REGEX]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openGpu } from '../../src/gpu/gpu.ts';
import type { KernelDefinition } from '../../src/gpu/kernel.ts';
import type { CompiledKernel } from '../../src/gpu/shader/pipeline-cache.ts';
import type { Spec } from '../../src/gpu/shader/specialise.ts';
import { prepareAttention } from '../../src/kernels/attention/attention.ts';
import { prepareRope, ropeVariants } from '../../src/kernels/attention/rope.ts';
import { attentionVariants } from '../../src/kernels/attention/variants.ts';
import { gemmVariants, prepareGemm } from '../../src/kernels/dense/gemm.ts';
import { prepareRmsNorm, rmsNormVariants } from '../../src/kernels/dense/rms-norm.ts';
import { expertVariants, prepareExpertGemm } from '../../src/kernels/experts/experts.ts';
import { prepareTopk, topkVariants } from '../../src/kernels/routing/gating.ts';
import { nodePlatform } from '../../src/platform/node/node.ts';
import { WEIGHT_DTYPES } from '../../src/tensor/quantised.ts';

interface Entry {
  readonly file: string;
  readonly shader: string;
  readonly spec: Spec;
  error?: string;
}

const [out = 'isa', ...rest] = process.argv.slice(2);
const at = rest.indexOf('--only');
const only = new RegExp(at < 0 ? '.' : (rest[at + 1] ?? '.'));
const [adapter = 'auto'] = at === 0 ? [] : rest;
mkdirSync(out, { recursive: true });
process.env.ISA_OUT = resolve(out);

const gpu = await openGpu(nodePlatform(), adapter);
const entries = new Map<string, Entry>();

/** 'experts.vector,FORMAT-3,GATHER': the shader and what its spec changes. */
function fileOf({ shader, spec: own }: KernelDefinition, spec: Spec): string {
  const changes = Object.entries(spec)
    .filter(([name, value]) => own[name] !== value && !/[<>]/.test(String(value)))
    .map(([name, value]) =>
      typeof value === 'boolean' ? (value ? name : `no-${name}`) : `${name}-${value}`,
    );
  return [shader.replace('.wgsl', '').replaceAll('/', '.'), ...changes].join(',');
}

/** What a kernel that `--only` leaves out is answered with: its variant is not prepared any further. */
const NOT_WANTED = new Error('not wanted');

/** One kernel after the other: whoever writes down what the driver makes of it reads its name from the environment. */
let queue: Promise<unknown> = Promise.resolve();
const compile = gpu.pipelines.get.bind(gpu.pipelines);
gpu.pipelines.get = async (definition: KernelDefinition, spec: Spec): Promise<CompiledKernel> => {
  const file = fileOf(definition, spec);
  if (!only.test(file)) throw NOT_WANTED;
  const entry: Entry = entries.get(file) ?? { file, shader: definition.shader, spec };
  entries.set(file, entry);
  const compiled = queue.then(() => {
    process.env.ISA_NAME = file;
    return compile(definition, spec);
  });
  queue = compiled.catch((error: unknown) => {
    entry.error = String(error).slice(0, 400);
  });
  return compiled;
};

/** A variant that this driver cannot have is told. */
async function ask(name: string, prepare: () => Promise<unknown>): Promise<void> {
  await prepare().catch((error: unknown) => {
    if (error !== NOT_WANTED) console.error(`${name}: ${String(error).slice(0, 200)}`);
  });
}

for (const weightDtype of WEIGHT_DTYPES) {
  const matrix = { numRows: 512, numCols: 3072, depth: 1024, weightDtype };
  for (const { name } of gemmVariants) await ask(`gemm ${name}`, () => prepareGemm(gpu, matrix, name));
  const both = { numExperts: 16, weightDtype, biased: false, rowsPerExpert: 64 };
  const up = { ...both, depth: 1024, numCols: 2048, gated: true, activation: 'silu' as const, gather: true };
  const down = { ...both, depth: 2048, numCols: 1024, gated: false, activation: 'identity' as const };
  for (const { name } of expertVariants) {
    await ask(`experts up ${name}`, () => prepareExpertGemm(gpu, up, name));
    await ask(`experts down ${name}`, () => prepareExpertGemm(gpu, down, name));
  }
}
const heads = { numHeads: 16, numKvHeads: 16, headDim: 64, causal: true, scale: 0.125, cacheLength: 2048 };
for (const kvDtype of ['f32', 'f16'] as const) {
  for (const { name } of attentionVariants) {
    const queries = /^(decode|split)/.test(name) ? 1 : 64;
    await ask(`attention ${name}`, () => prepareAttention(gpu, { ...heads, queries, kvDtype }, name));
  }
}
for (const { name } of topkVariants) {
  const shape = { numExperts: 128, topK: 8, score: 'softmax' as const, renormalize: true };
  await ask(`gate-topk ${name}`, () => prepareTopk(gpu, shape, name));
}
for (const { name } of rmsNormVariants) {
  await ask(`rms-norm ${name}`, () => prepareRmsNorm(gpu, { width: 1024, eps: 1e-6, residual: true }, name));
}
for (const { name } of ropeVariants) {
  await ask(`rope ${name}`, () => prepareRope(gpu, { headDim: 64, interleaved: false }, name));
}
await queue;

const kernels = [...entries.values()];
writeFileSync(join(out, 'index.json'), `${JSON.stringify({ adapter: gpu.facts, kernels }, null, 1)}\n`);
console.log(
  `${gpu.facts.name}: ${kernels.length} kernels, ${kernels.filter(({ error }) => error).length} failed`,
);
process.exit(0);
