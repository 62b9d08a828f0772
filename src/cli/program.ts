/** All commands and what they have in common. */
import { Command, Help, type Option } from 'commander';
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
70 a fault of ours, 74 the output cannot be written, 130 interrupted by Ctrl-C.`;

/** A list that is empty by default needs no word for it. */
function optionDescription(this: Help, option: Option): string {
  const isEmpty = Array.isArray(option.defaultValue) && option.defaultValue.length === 0;
  return isEmpty ? option.description : Help.prototype.optionDescription.call(this, option);
}

/** Adds a verb's options and its action. */
type Describe = (command: Command) => Command;

interface Verb {
  /** The name, and what the list of commands shows after it. */
  readonly usage: string;
  readonly summary: string;
  /** Imported when it is asked for: all verbs together take longer to load than the help takes to print. */
  readonly load: () => Promise<Describe>;
}

const VERBS: readonly Verb[] = [
  {
    usage: 'doctor [options]',
    summary: 'show the adapter, its limits and its clocks',
    load: async () => (await import('./verbs/doctor.ts')).describeDoctor,
  },
  {
    usage: 'layout [options] [axes...]',
    summary: 'explain a layout: views, groups, ownership, weights',
    load: async () => (await import('./verbs/layout.ts')).describeLayout,
  },
  {
    usage: 'claims [options] [strategy]',
    summary: 'which statements of a strategy hold, and under what condition',
    load: async () => (await import('./verbs/plan/claims.ts')).describeClaims,
  },
  {
    usage: 'generate [options]',
    summary: 'continue a prompt on all ranks of a layout',
    load: async () => (await import('./verbs/generate.ts')).describeGenerate,
  },
  {
    usage: 'check [options] [folder]',
    summary: 'a checkpoint on one rank and on a layout beside float64',
    load: async () => (await import('./verbs/check.ts')).describeCheck,
  },
  {
    usage: 'validate [options]',
    summary: 'check every kernel and the model on all ranks',
    load: async () => (await import('./verbs/validate.ts')).describeValidate,
  },
  {
    usage: 'tune [options]',
    summary: 'measure which variant of each kernel is the fastest here',
    load: async () => (await import('./verbs/tune.ts')).describeTune,
  },
  {
    usage: 'op [options] [name]',
    summary: 'run one op on tensors of your own',
    load: async () => (await import('./verbs/op.ts')).describeOp,
  },
  {
    usage: 'bench [options]',
    summary: 'check, then time kernels, stages and the whole pass',
    load: async () => (await import('./verbs/bench.ts')).describeBench,
  },
  {
    usage: 'profile [options]',
    summary: 'where the time of one step goes, and a timeline of it',
    load: async () => (await import('./verbs/profile.ts')).describeProfile,
  },
  {
    usage: 'routing [options]',
    summary: 'what capacity, overflow and balancing of experts cost',
    load: async () => (await import('./verbs/routing/describe.ts')).describeRouting,
  },
  {
    usage: 'compare [options] <file...>',
    summary: 'which rows of two sets of bench results differ',
    load: async () => (await import('./verbs/compare.ts')).describeCompare,
  },
  {
    usage: 'report [options] <file...>',
    summary: 'a bench result as one page of HTML to look at',
    load: async () => (await import('./verbs/report.ts')).describeReport,
  },
  {
    usage: 'export [options] <file...>',
    summary: 'bench results as a table: CSV or Markdown',
    load: async () => (await import('./verbs/export.ts')).describeExport,
  },
  {
    usage: 'project [options]',
    summary: 'what a layout or an operation would take on hardware that is not here',
    load: async () => (await import('./verbs/plan/project.ts')).describeProject,
  },
  {
    usage: 'search [options]',
    summary: 'every layout of so many GPUs, and where a given one stands',
    load: async () => (await import('./verbs/plan/search.ts')).describeSearch,
  },
  {
    usage: 'accuracy [options]',
    summary: 'how far projections are off where they were not fitted',
    load: async () => (await import('./verbs/plan/accuracy.ts')).describeAccuracy,
  },
  {
    usage: 'growth [options]',
    summary: 'does time grow with size as it should?',
    load: async () => (await import('./verbs/growth.ts')).describeGrowth,
  },
  {
    usage: 'serve [options]',
    summary: 'the page: the same in a browser, on this machine',
    load: async () => (await import('./verbs/serve.ts')).describeServe,
  },
];

const nameOf = ({ usage }: Verb): string => usage.split(' ', 1).join('');

/** What the list shows of a command that is not loaded. */
function subcommandTerm(command: Command): string {
  return VERBS.find((verb) => nameOf(verb) === command.name())?.usage ?? command.name();
}

async function complete(command: Command): Promise<void> {
  const describe = await VERBS.find((verb) => nameOf(verb) === command.name())?.load();
  describe?.(command);
  command.options.find((option) => option.attributeName() === 'tuningFile')?.conflicts('tuning');
  // The help of `op <name>` is about that op, so it shows it by itself.
  if (command.name() === 'op')
    command.helpOption(false).option('-h, --help', 'show this help, or that of an op');
}

/** To be parsed with `parseAsync`: the command that is asked for is loaded on the way. */
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
    .configureHelp({ showGlobalOptions: true, helpWidth: 80, optionDescription, subcommandTerm })
    .configureOutput({ writeErr: () => undefined })
    .hook('preSubcommand', (_program, command) => complete(command));
  for (const verb of VERBS) program.command(nameOf(verb)).summary(verb.summary);
  return program;
}
