/** All ops by name, and the one call that runs one: check, upload, record, submit, read. */
import { ConfigError } from '../core/errors.ts';
import { requireFields, requireGiven, requireGpu, requireOptions } from '../core/given.ts';
import { quoted } from '../core/text/quoted.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkTensor, type Tensor } from '../tensor/tensor.ts';
import { attention } from './attention/attention.ts';
import { attrsFrom } from './attrs.ts';
import { gateTopk } from './moe/gate-topk.ts';
import { matmul } from './dense/matmul.ts';
import { moe } from './moe/moe.ts';
import { didYouMean } from '../core/text/near-names.ts';
import type { AttrValue, Op, OpInputs } from './op.ts';
import { pagedAttention } from './attention/paged-attention.ts';
import { rmsNorm } from './dense/rms-norm.ts';
import { rope } from './dense/rope.ts';
import { tpAttention } from './attention/tp-attention.ts';

/** All ops, in the order in which they are listed to users. */
export const ops: readonly Op[] = [
  gateTopk,
  moe,
  attention,
  pagedAttention,
  tpAttention,
  rmsNorm,
  rope,
  matmul,
];

/** The op that users run by this name. @throws ConfigError for an unknown name. */
export function opByName(name: string): Op {
  requireGiven('The op', name, 'string');
  const names = ops.map((op) => op.name);
  const found = ops.find((op) => op.name === name);
  if (found !== undefined) return found;
  throw new ConfigError(
    `There is no op ${quoted(name)}${didYouMean(name, names)}. There are: ${names.join(', ')}.`,
  );
}

/** Tensors and attributes by name, with defaults filled in; `op.check` tells whether they fit each other. */
export function inputsOf(
  op: Op,
  tensors: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>,
  attrs: Readonly<Record<string, AttrValue>> = {},
): OpInputs {
  requireFields('The op', op, { name: 'string', attrs: 'list' });
  requireGiven('The tensors', tensors, 'record');
  requireGiven('The attributes', attrs, 'record');
  const byName: ReadonlyMap<string, Tensor> =
    tensors instanceof Map ? (tensors as ReadonlyMap<string, Tensor>) : new Map(Object.entries(tensors));
  return { tensors: byName, attrs: attrsFrom(op, attrs) };
}

/** What `runOp` takes beside the op's own inputs. */
export interface RunOpOptions {
  /** Calls the op off. */
  readonly signal?: AbortSignal;
}

/**
 * Runs an op once and reads its outputs. The tensors are read while it runs: they may be changed when it has come back.
 * @throws ConfigError for a name, attribute, tensor, size or variant that does not fit.
 * @throws CancelledError when it was called off; nothing of it is left on the device.
 */
export async function runOp(
  device: Gpu,
  name: string,
  tensors: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>,
  attrs: Readonly<Record<string, AttrValue>> = {},
  variant?: string,
  options: RunOpOptions = {},
): Promise<Map<string, Tensor>> {
  requireGpu(device);
  requireOptions('The run', options, { signal: 'signal?' });
  const gpu = device.under(options.signal);
  const op = opByName(name);
  const inputs = inputsOf(op, tensors, attrs);
  for (const [tensorName, t] of inputs.tensors) checkTensor(t, `Tensor ${tensorName}`);
  const prepared = await op.prepare(gpu, inputs, variant);
  try {
    const commands = gpu.commands(`op ${name}`);
    prepared.record(commands);
    commands.submit();
    return await prepared.read();
  } finally {
    prepared.destroy();
  }
}
