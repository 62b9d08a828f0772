/** All commands and what they have in common. */
import { Command, Help, type Option } from 'commander';
import { addBench } from './verbs/bench.ts';
import { addDoctor } from './verbs/doctor.ts';
import { addGenerate } from './verbs/generate.ts';
import { addGrowth } from './verbs/growth.ts';
import { addLayout } from './verbs/layout.ts';
import { addOp } from './verbs/op.ts';
import { addTune } from './verbs/tune.ts';
import { addValidate } from './verbs/validate.ts';
import { packageVersion } from './package.ts';

const EXAMPLES = `
Examples:
  moebius doctor                              which adapter, and what it can do
  moebius layout ep=16,pp=4,tp=2,dp=2         128 GPUs explained, rank by rank
  moebius generate --prompt "ROMEO:" --tokens 80
  moebius validate --quick                    every kernel against float64
  moebius tune                                measure which variants are the fastest
  moebius bench --quick                       check, time, and compare
  moebius op gate-topk --in in.safetensors --out out.safetensors --attr k=2

Exit status: 0 done, 1 a check failed or is incomplete, 2 wrong use,
70 a fault of ours, 74 the output cannot be written.`;

/** A list that is empty by default needs no word for it. */
function optionDescription(this: Help, option: Option): string {
  const isEmpty = Array.isArray(option.defaultValue) && option.defaultValue.length === 0;
  return isEmpty ? option.description : Help.prototype.optionDescription.call(this, option);
}

export function buildProgram(): Command {
  const program = new Command('moebius')
    .description('Checks and times mixture-of-experts kernels on WebGPU, and lays a model over many GPUs.')
    .version(packageVersion(), '--version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .option('--adapter <name>', 'part of an adapter\'s name, or "auto"', 'auto')
    .option('--json', 'one JSON object on stdout instead of text')
    .addHelpText('after', EXAMPLES)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, helpWidth: 80, optionDescription })
    .configureOutput({ writeErr: () => undefined });
  for (const add of [addDoctor, addLayout, addGenerate, addValidate, addTune, addOp, addBench, addGrowth]) {
    const command = add(program).copyInheritedSettings(program);
    command.options.find((option) => option.attributeName() === 'tuningFile')?.conflicts('tuning');
    // The help of `op <name>` is about that op, so it shows it by itself.
    if (command.name() === 'op')
      command.helpOption(false).option('-h, --help', 'show this help, or that of an op');
    else command.helpOption('-h, --help', 'show this help');
  }
  return program;
}
