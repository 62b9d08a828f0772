/** `moebius project`: what operations and layouts would take on hardware that is not here. */
import type { Command } from 'commander';
import { ConfigError, messageOf } from '../../../core/errors.ts';
import { maxOf } from '../../../core/math.ts';
import { chosen, requireOptions, type Fields } from '../../../core/given.ts';
import { adapterProfile, THIS_ADAPTER } from '../../../hardware/profiles/adapter.ts';
import type { Profile } from '../../../hardware/profiles/profile.ts';
import { readResultAt } from '../../files/read-result.ts';
import { projectOp, type CaseRow, type LayerShape } from '../../../hardware/cases.ts';
import { modelNamed } from '../../../planner/models/named.ts';
import { checkOutput, OTHER_OUT, writeWhole } from '../../files/files.ts';
import type { GlobalOptions } from '../../options.ts';
import { printJson, write } from '../../output.ts';
import { casesText, readCases, type Answer } from './cases-file.ts';

/** Options of `project`, those of `moebius project`. */
export interface ProjectOptions {
  /** The path of a CSV file, a case in each row. */
  readonly cases?: string;
  /** The path of a bench result, whose adapter rows may name as "this adapter". */
  readonly result?: string;
}

/** What was projected of each case, in the order of the file. */
export interface ProjectReport {
  readonly cases: readonly Answer[];
  /** The table that `--out` writes. */
  readonly csv: string;
}

const OPTIONS: Fields = { cases: 'string?', result: 'string?' };

/** Columns of the answers, in their order. */
const ANSWERS = ['us', 'low', 'high', 'tag', 'region', 'note'] as const;

/**
 * Projects every row of a table of cases. A row that cannot be projected says why in its note.
 * @throws ConfigError for a file that is no table of cases.
 */
export async function project(options: ProjectOptions): Promise<ProjectReport> {
  requireOptions('project', options, OPTIONS);
  const { cases, result } = options;
  if (cases === undefined) throw new ConfigError('project needs cases: name a CSV file with --cases.');
  const table = await readCases(cases, () => undefined, []);
  const here = result === undefined ? undefined : await adapterOf(result);
  const answers = table.rows.map(({ row }) => answerTo(row, here));
  return { cases: answers, csv: casesText(table, answers, ANSWERS) };
}

function answerTo(row: CaseRow, here: Profile | undefined): Answer {
  try {
    if ((row.op ?? '') === '') throw new ConfigError('the row names no op.');
    const { us, low, high, tag, region, source } = projectOp(row, {
      shapeOf,
      hardwareOf: (name) => adapterNamed(name, here),
    });
    return { us, low, high, tag, region, note: source };
  } catch (error) {
    if (error instanceof ConfigError) return { note: messageOf(error) };
    throw error;
  }
}

/** @throws ConfigError where the adapter of a result is named and there is no result. */
function adapterNamed(name: string, here: Profile | undefined): Profile | undefined {
  if (
    name
      .toLowerCase()
      .replaceAll(/[^a-z]+/g, ' ')
      .trim() !== THIS_ADAPTER
  )
    return undefined;
  if (here === undefined)
    throw new ConfigError('"this adapter" is that of a bench result: name one with --result.');
  return here;
}

/** @throws ConfigError for a file that is no result, or one whose ceilings were not measured. */
async function adapterOf(path: string): Promise<Profile> {
  const { ceilings, adapter } = await readResultAt(path);
  const best = (probe: string): number => {
    const found = ceilings.filter((one) => one.name === probe && one.state === 'measured');
    const largest = maxOf(
      found.map(({ footprintBytes = 0 }) => footprintBytes),
      0,
    );
    const values = found.filter(({ footprintBytes = 0 }) => footprintBytes === largest);
    const [first] = values.map((one) => (one.state === 'measured' ? one.value : NaN));
    if (first === undefined)
      throw new ConfigError(`${path} has no ceiling of ${probe}: run moebius bench again.`);
    return first;
  };
  return adapterProfile({
    title: adapter.facts.name,
    flopPerS: best('f32 multiply-add'),
    bytesPerS: best('storage read'),
    dispatchNs: adapter.dispatchFloorNs.median,
    source: path,
  });
}

/** The routed layer of a model. @throws ConfigError for a model that there is not, or one without experts. */
function shapeOf(name: string): LayerShape {
  const model = modelNamed(name);
  const { modelDim: hidden, expertDim: inter, experts, topK: topk } = model;
  if (experts < 2) throw new ConfigError(`${model.name} has no routed experts.`);
  return { hidden, inter, experts, topk };
}

interface CommandOptions extends GlobalOptions {
  readonly cases: string;
  readonly result?: string;
  readonly out?: string;
}

export function describeProject(command: Command): Command {
  return command
    .description(
      'What operations would take on hardware that is not here: us with an 80 % interval, by curves fitted to published ' +
        'measurements, and the region of them that each answer lies in. Needs no GPU.',
    )
    .requiredOption('--cases <file>', 'a CSV file, a case in each row')
    .option('--result <file>', 'a bench result, whose adapter is "this adapter"')
    .option('--out <file>', 'where the table goes (default: stdout)')
    .addHelpText(
      'after',
      `
Columns of an operation: op, hardware, dtype, and its sizes
  gemm                                 m, n, k
  moe                                  tokens, hidden, inter, experts, topk,
                                       tp, ep, routing; or model for the sizes
  attention-prefill, attention-decode  batch, heads, kv_heads, head_dim,
                                       seq or kv
  mla-prefill, mla-decode              batch, heads, seq or kv
  all_reduce, all_gather,
  reduce_scatter, alltoall             bytes, ranks, nodes
  ep-dispatch, ep-combine              tokens, hidden, experts, topk, ranks,
                                       nodes, mode, sms

Example:
  moebius project --cases in.csv --out out.csv`,
    )
    .action(async (_options: object, command: Command) => {
      const { out, json, ...given } = command.optsWithGlobals<CommandOptions>();
      if (out !== undefined) await checkOutput(out, { inputs: [given.cases], remedy: OTHER_OUT });
      const { cases, csv } = await project(chosen(given, OPTIONS));
      if (out !== undefined) await writeWhole(out, csv, OTHER_OUT);
      if (json === true) return printJson({ ...(out === undefined ? {} : { out }), cases });
      if (out === undefined) return write(process.stdout, csv);
      const failed = cases.filter((answer) => answer.us === undefined).length;
      const why = failed === 0 ? '' : `, ${failed} of them not projected: see their notes`;
      return write(process.stdout, `${out}: ${cases.length} cases${why}.\n`);
    });
}
