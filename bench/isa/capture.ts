/**
 * Compiles kernels for whatever driver the environment shows, one after the other, and runs nothing. Before each it sets
 * ISA_NAME, a name of a file, for the layer that writes down what the driver made of it. `main.ts` starts it.
 *
 *   node --import ./src/cli/typescript.js bench/isa/capture.ts OUT [ADAPTER] [--only REGEX] [--chosen]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../../src/core/errors.ts';
import { openGpu } from '../../src/gpu/gpu.ts';
import type { KernelDefinition } from '../../src/gpu/kernel.ts';
import { assumeLanes } from '../../src/gpu/shader/lanes.ts';
import { matrixUnitText } from '../../src/gpu/shader/matrices.ts';
import { assumeSmallHalves } from '../../src/gpu/shader/small-halves.ts';
import type { CompiledKernel } from '../../src/gpu/shader/pipeline-cache.ts';
import type { Spec } from '../../src/gpu/shader/specialise.ts';
import { nodePlatform } from '../../src/platform/node/node.ts';
import { asked } from './asked.ts';

/** A kernel, as index.json holds it. */
export interface Captured {
  /** The shader and what its spec changes: 'experts.blocked,int8,GATHER'. */
  readonly kernel: string;
  readonly shader: string;
  readonly spec: Spec;
  /** Who asked for it. */
  readonly uses: string[];
  chosen: boolean;
  error?: string;
}

/** What index.json holds. */
export interface Index {
  readonly adapter: { readonly name: string; readonly driver: string };
  /** As the driver lists them. */
  readonly matrixUnits: readonly string[];
  /** What this driver cannot have, of what was asked for. */
  readonly refused: readonly { readonly what: string; readonly why: string }[];
  readonly kernels: readonly Captured[];
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string', default: '.' }, chosen: { type: 'boolean', default: false } },
});
const [out = 'isa', adapter = 'auto'] = positionals;
const only = new RegExp(values.only);
mkdirSync(out, { recursive: true });
process.env.ISA_OUT = resolve(out);

const platform = nodePlatform();
const { name, driver } = (await platform.openAdapter(adapter)).facts;
// Nothing runs here, so nothing can be probed.
assumeLanes(`${name} ${driver}`, true);
assumeSmallHalves(`${name} ${driver}`, true);
const gpu = await openGpu(platform, adapter);
const kernels = new Map<string, Captured>();

/** What follows from the rest, so that names stay short. */
const FOLLOWS = new Set(['FORMAT', 'Pack', 'Kv', 'LAST', 'GROUPS', 'Four']);

/** By the shaders' number; MXFP4 is read in two ways, of which a target has one. */
const FORMATS = ['f32', 'f16', 'int8', 'int4', 'mxfp4', 'mxfp4'];

function nameOf({ shader, spec: own }: KernelDefinition, spec: Spec): string {
  const format = spec.FORMAT === undefined ? [] : [FORMATS[Number(spec.FORMAT)] ?? 'unknown'];
  const changes = Object.entries(spec)
    .filter(([name, value]) => own[name] !== value && !FOLLOWS.has(name))
    .map(([name, value]) =>
      typeof value === 'boolean' ? (value ? name : `no-${name}`) : `${name}-${value}`,
    );
  return [shader.replace('.wgsl', '').replaceAll('/', '.'), ...format, ...changes].join(',');
}

/** What a kernel that is not asked for is answered with: its variant is not prepared any further. */
const NOT_WANTED = new Error('not wanted');

const refused: { what: string; why: string }[] = [];
let current = { what: '', chosen: false };
/** One kernel after the other: the layer reads its name from the environment. */
let queue: Promise<unknown> = Promise.resolve();
const compile = gpu.pipelines.get.bind(gpu.pipelines);
gpu.pipelines.get = async (definition: KernelDefinition, spec: Spec): Promise<CompiledKernel> => {
  const kernel = nameOf(definition, spec);
  if (!only.test(kernel)) throw NOT_WANTED;
  const { what, chosen } = current;
  const known = kernels.get(kernel);
  const entry: Captured = known ?? { kernel, shader: definition.shader, spec, uses: [], chosen: false };
  kernels.set(kernel, entry);
  entry.chosen ||= chosen;
  if (!entry.uses.includes(what)) entry.uses.push(what);
  const compiled = queue.then(() => {
    process.env.ISA_NAME = kernel;
    return compile(definition, spec);
  });
  queue = compiled.catch((error: unknown) => {
    entry.error = messageOf(error).slice(0, 400);
  });
  return compiled;
};

for (const { what, chosen, prepare } of asked(gpu)) {
  if (values.chosen && !chosen) continue;
  current = { what, chosen };
  // A variant that this driver cannot have is told; of several kernels the rest still come.
  await prepare().catch((error: unknown) => {
    if (error === NOT_WANTED) return;
    const why = messageOf(error).slice(0, 400);
    if (!refused.some((one) => one.what === what && one.why === why)) refused.push({ what, why });
  });
  await queue;
}

const matrixUnits = gpu.matrixUnits.map(matrixUnitText);
const index: Index = { adapter: gpu.facts, matrixUnits, refused, kernels: [...kernels.values()] };
writeFileSync(join(out, 'index.json'), `${JSON.stringify(index, null, 1)}\n`);
process.exit(0);
