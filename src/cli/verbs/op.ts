/** `moebius op`: one op on the user's own tensors, from a safetensors file to another. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { inPieces, piecesOf } from '../../core/async/pieces.ts';
import { CheckError, ConfigError } from '../../core/errors.ts';
import { requireOptions, type Fields } from '../../core/given.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { readSafetensors, writeSafetensors } from '../../model/safetensors/safetensors.ts';
import { parseAttrs } from '../../ops/attrs.ts';
import type { AttrValue, Op, OpInputs } from '../../ops/op.ts';
import { opByName, ops } from '../../ops/ops.ts';
import type { AdapterFacts } from '../../platform/platform.ts';
import { renderOp, renderOpList } from '../../report/terminal/ops.ts';
import { compare, describe } from '../../tensor/compare.ts';
import { toF64, type Tensor } from '../../tensor/tensor.ts';
import { checkOutput, OTHER_OUT, writeWhole } from '../files/files.ts';
import { collect, refuseIdle, type GlobalOptions } from '../options.ts';
import { loadVariants, registerAll, WITH, type WithOptions } from '../own/modules.ts';
import { printJson, printLines, stdoutStyle } from '../output.ts';
import { platformHere, withGpu } from '../session.ts';
import { attachTuning, type TuningUse, TUNING_FILE } from '../tuning.ts';

/** Options of `op`, those of `moebius op`. */
export interface OpOptions extends WithOptions {
  readonly adapter?: string;
  readonly name: string;
  /** A safetensors file with the op's tensors by their names. */
  readonly in: string;
  /** Where the results go; replaced when it is there. */
  readonly out: string;
  /** 'k=2' */
  readonly attrs?: readonly string[];
  /** The best that can run when absent. */
  readonly variant?: string;
  /** Compares with the op's float64 reference, under its own error budget. */
  readonly check?: boolean;
  /** False ignores what was tuned. */
  readonly tuning?: boolean;
  /** What was tuned; see `TuningOptions`. */
  readonly tuningFile?: string;
  /** Calls the work off: the call is rejected with a CancelledError. */
  readonly signal?: AbortSignal;
}

/** What an op was run on and what came of it; the tensors themselves are in the file `out`. */
export interface OpResult {
  readonly op: string;
  readonly variant: string;
  readonly attrs: Readonly<Record<string, AttrValue>>;
  readonly inputs: readonly TensorFact[];
  readonly outputs: readonly TensorFact[];
  readonly out: string;
  readonly adapter: AdapterFacts;
  /** Whether the variant may have been chosen by what was tuned. */
  readonly tuning: TuningUse;
  /** By output; only when asked for. `worstShare` is the largest error as a share of what is allowed. */
  readonly checks?: readonly {
    readonly output: string;
    readonly pass: boolean;
    readonly worstShare: number;
  }[];
}

export interface TensorFact {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

const OPTIONS: Fields = {
  with: 'list?',
  adapter: 'string?',
  name: 'string',
  in: 'string',
  out: 'string',
  attrs: 'list?',
  variant: 'string?',
  check: 'flag?',
  tuning: 'flag?',
  tuningFile: 'string?',
  signal: 'signal?',
};

/**
 * Runs one op on the tensors of a safetensors file and writes its outputs to another.
 * @throws ConfigError for a name, attribute, file, tensor or variant that does not fit.
 * @throws CheckError when `check` is asked for and fails: then there is no output file.
 */
export async function op(options: OpOptions): Promise<OpResult> {
  requireOptions('op', options, OPTIONS);
  const { result, file } = await compute(options);
  await writeWhole(options.out, file, OTHER_OUT);
  return result;
}

/** The result and the bytes of its file. */
async function compute(options: OpOptions): Promise<{ result: OpResult; file: Uint8Array }> {
  const chosen = opNamed(options.name);
  const attrs = parseAttrs(chosen, options.attrs ?? []);
  const own = await loadVariants(options);
  await checkOutput(options.out, { inputs: [options.in], remedy: OTHER_OUT });
  const tensors = readSafetensors(await platformHere().readFile(resolve(options.in)), options.in);
  const inputs: OpInputs = { tensors, attrs };
  chosen.check(inputs);
  return withGpu(options, async (gpu) => {
    await registerAll(gpu, own);
    const tuning = await attachTuning(gpu, options);
    const prepared = await chosen.prepare(gpu, inputs, options.variant);
    let outputs: Map<string, Tensor>;
    try {
      const commands = gpu.commands(`op ${chosen.name}`);
      prepared.record(commands);
      commands.submit();
      outputs = await prepared.read();
    } finally {
      prepared.destroy();
    }
    const checks = options.check
      ? await checkOutputs(gpu, chosen, inputs, outputs, prepared.variant)
      : undefined;
    const { name, driver } = gpu.facts;
    const metadata = { op: chosen.name, variant: prepared.variant, adapter: name, driver };
    const result: OpResult = {
      op: chosen.name,
      variant: prepared.variant,
      attrs: Object.fromEntries(attrs),
      inputs: factsOf(tensors),
      outputs: factsOf(outputs),
      out: options.out,
      adapter: gpu.facts,
      tuning,
      ...(checks !== undefined && { checks }),
    };
    return { result, file: writeSafetensors(outputs, metadata) };
  });
}

/** Both 'gate-topk' and 'gate_topk'. */
export function opNamed(name: string): Op {
  return opByName(name.replaceAll('_', '-'));
}

async function checkOutputs(
  gpu: Gpu,
  chosen: Op,
  inputs: OpInputs,
  outputs: ReadonlyMap<string, Tensor>,
  variant: string,
): Promise<NonNullable<OpResult['checks']>> {
  const expected = await inPieces(piecesOf(chosen.reference, inputs, outputs, variant), gpu.signal);
  return [...expected].map(([output, { values, shape, budget }]) => {
    const got = outputs.get(output);
    const result = compare(got === undefined ? [] : toF64(got), values, shape, budget);
    if (!result.pass)
      throw new CheckError(`${describe(`${chosen.name}.${output}`, result)}. Nothing was written.`);
    return { output, pass: result.pass, worstShare: result.worstShare };
  });
}

export function factsOf(tensors: ReadonlyMap<string, Tensor>): TensorFact[] {
  return [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
}

interface CommandOptions extends GlobalOptions, WithOptions {
  readonly in?: string;
  readonly out?: string;
  readonly attr: readonly string[];
  readonly variant?: string;
  readonly check?: boolean;
  readonly tuning: boolean;
  readonly tuningFile?: string;
  readonly list?: boolean;
  readonly help?: boolean;
}

export function describeOp(command: Command): Command {
  return command
    .description('Runs one op on the tensors of a safetensors file and writes its outputs to another.')
    .argument('[name]', 'of the op; "moebius op --list" shows all')
    .option('--in <file>', 'safetensors file with the inputs')
    .option('--out <file>', 'where to write the outputs')
    .option('--attr <name=value>', 'an attribute; may be repeated', collect, [])
    .option('--variant <name>', 'of the kernel; the best that can run when absent')
    .option(...WITH)
    .option('--check', 'compare with float64 before writing')
    .option(...TUNING_FILE)
    .option('--no-tuning', "the family's own choice of a variant, whatever was tuned")
    .option('--list', 'show all ops')
    .addHelpText(
      'after',
      `
Examples:
  moebius op --list
  moebius op gate-topk --help
  moebius op gate-topk --in in.safetensors --out out.safetensors --attr k=2`,
    )
    .action(async (name: string | undefined, _options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      const style = stdoutStyle();
      const all = ['in', 'out', 'attr', 'variant', 'with', 'check', 'tuning', 'tuningFile'];
      const listed = given.list === true;
      const shown = given.help === true;
      refuseIdle(command, [[listed || shown, all, `${listed ? '--list' : '--help'} runs nothing`]]);
      if (listed && name !== undefined) {
        throw new ConfigError(
          `--list shows all ops; leave "${name}" out, or "moebius op ${name} --help" shows it.`,
        );
      }
      if (listed) return given.json ? printJson({ ops }) : printLines(renderOpList(ops, style));
      if (given.help) {
        if (name === undefined) return command.outputHelp();
        const about = opNamed(name);
        return given.json ? printJson(about) : printLines(renderOp(about, style));
      }
      if (name === undefined) throw new ConfigError('name an op. "moebius op --list" shows all.');
      const { in: input, out } = given;
      opNamed(name);
      if (input === undefined || out === undefined) {
        const missing = input === undefined ? '--in <file> with its tensors' : '--out <file> for its results';
        throw new ConfigError(
          `op ${name} needs ${missing}. "moebius op ${name} --help" shows what it takes.`,
        );
      }
      const { adapter, attr: attrs, variant, with: modules, check, tuning, tuningFile } = given;
      const { result, file } = await compute({
        ...{ adapter, name, in: input, out, attrs, tuning },
        ...(tuningFile !== undefined && { tuningFile }),
        ...(modules !== undefined && { with: modules }),
        ...(variant !== undefined && { variant }),
        ...(check !== undefined && { check }),
      });
      // With a disk that has filled up meanwhile, what was found is still told.
      const failure = await writeWhole(out, file, OTHER_OUT).then(
        () => undefined,
        (error: unknown) => error,
      );
      const end = failure === undefined ? [`Wrote ${out}.`] : [];
      await (given.json ? printJson(result) : printLines([...renderResult(result), ...end]));
      if (failure !== undefined) throw failure as Error;
    });
}

function renderResult(result: OpResult): string[] {
  const shown = (facts: readonly TensorFact[]): string =>
    facts.map(({ name, dtype, shape }) => `${name} ${dtype} [${shape.join(', ')}]`).join(', ');
  const checks = (result.checks ?? []).map(
    ({ output, worstShare }) => `  ${output}: ok, largest error ${worstShare.toFixed(3)} of what is allowed`,
  );
  return [
    `${result.op} (${result.variant}) on ${result.adapter.name}`,
    `  in   ${shown(result.inputs)}`,
    `  out  ${shown(result.outputs)}`,
    ...checks,
    `  ${result.tuning.note}`,
  ];
}
