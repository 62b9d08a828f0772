/** `moebius project`: what operations and layouts would take on hardware that is not here. */
import type { Command } from 'commander';
import { ConfigError, messageOf } from '../../../core/errors.ts';
import { maxOf } from '../../../core/math.ts';
import { chosen, requireOptions, type Fields } from '../../../core/given.ts';
import { adapterProfile, THIS_ADAPTER } from '../../../hardware/profiles/adapter.ts';
import type { Profile } from '../../../hardware/profiles/profile.ts';
import { readResultAt } from '../../files/read-result.ts';
import type { CaseRow } from '../../../hardware/case-columns.ts';
import { projectOp, type LayerShape } from '../../../hardware/cases.ts';
import type { ModelFacts } from '../../../planner/models/facts.ts';
import { quoted } from '../../../core/text/quoted.ts';
import {
  projectRow,
  servingColumn,
  SERVING_ANSWERS,
  SERVING_COLUMNS,
} from '../../../planner/project/serving-case.ts';
import { checkOutput, OTHER_OUT, writeWhole } from '../../files/files.ts';
import type { GlobalOptions } from '../../options.ts';
import { printJson, printLines, write } from '../../output.ts';
import {
  DEPLOYMENT_FIELDS,
  deployed,
  describeDeployment,
  projectDeployment,
  renderDeployment,
  type DeploymentOptions,
  type DeploymentReport,
} from './deployment.ts';
import { casePlaces, withRecordedRouting, type CasePlaces } from './case-places.ts';
import { casesText, readCases, type Answer } from './cases-file.ts';

/** Options of `project`, those of `moebius project`. */
export interface ProjectOptions extends DeploymentOptions {
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

const OPTIONS: Fields = { cases: 'string?', result: 'string?', ...DEPLOYMENT_FIELDS };

/** Columns of the answers about operations, in their order. */
const OP_ANSWERS = ['us', 'low', 'high', 'tag', 'region', 'note'] as const;

/**
 * Projects every row of a table of cases, operations and deployments, or the one deployment that is named. A row that
 * cannot be projected says why in its note.
 * @throws ConfigError for a file that is no table of cases, or a deployment that cannot be.
 */
export async function project(options: ProjectOptions & { readonly cases: string }): Promise<ProjectReport>;
export async function project(options: ProjectOptions): Promise<ProjectReport | DeploymentReport>;
export async function project(options: ProjectOptions): Promise<ProjectReport | DeploymentReport> {
  requireOptions('project', options, OPTIONS);
  const { cases, result, ...deployment } = options;
  if (cases === undefined) {
    if (result !== undefined)
      throw new ConfigError('result is for operations in a table of cases. Leave it out.');
    return projectDeployment(deployment);
  }
  const other = Object.keys(deployment)[0];
  if (other !== undefined) {
    throw new ConfigError(
      `cases brings its own columns; ${quoted(other)} would do nothing. Leave one of them out.`,
    );
  }
  return projectCases(cases, result);
}

async function projectCases(cases: string, result: string | undefined): Promise<ProjectReport> {
  const here = result === undefined ? undefined : await adapterOf(result);
  const table = await readCases(cases, {
    of: servingColumn,
    names: SERVING_COLUMNS,
    answers: [...OP_ANSWERS, ...SERVING_ANSWERS],
  });
  const deployments = table.rows.filter(({ isOp }) => !isOp);
  const someOps = deployments.length < table.rows.length;
  const someDeployments = deployments.length > 0 || !someOps;
  const places = await casePlaces(table.rows.map(({ row }) => row));
  const answers = table.rows.map(({ row, isOp, refusal }): Answer => {
    if (refusal !== undefined) return { note: refusal };
    return answered(() => (isOp ? opAnswer(row, places, here) : deploymentAnswer(row, places)));
  });
  const columns = [
    ...new Set<string>([...(someOps ? OP_ANSWERS : []), ...(someDeployments ? SERVING_ANSWERS : [])]),
  ].sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));
  return { cases: answers, csv: casesText(table, answers, columns) };
}

const ORDER: readonly string[] = [
  'us',
  ...SERVING_ANSWERS.filter((name) => name !== 'note'),
  'tag',
  'region',
  'note',
];

/** A row's answer, or why it has none: one row is no reason to lose the others. */
function answered(answer: () => Answer): Answer {
  try {
    const cells = answer();
    const odd = Object.entries(cells).find(
      ([, value]) => typeof value === 'number' && !Number.isFinite(value),
    );
    return odd === undefined ? cells : { note: `cannot be projected: ${odd[0]} is no finite number.` };
  } catch (error) {
    if (error instanceof ConfigError) return { note: messageOf(error) };
    return { note: `a fault of moebius, please report it: ${messageOf(error)}` };
  }
}

function deploymentAnswer(row: CaseRow, places: CasePlaces): Answer {
  const { cells, memoryGb, note, phase } = projectRow(row, places.modelOf, places);
  const main = phase === 'prefill' ? cells.ttft_ms : cells.tpot_ms;
  return {
    ...Object.fromEntries(Object.entries(cells).map(([name, cell]) => [name, cell?.value])),
    memory_gb: memoryGb,
    low: main?.low,
    high: main?.high,
    note,
  };
}

function opAnswer(row: CaseRow, places: CasePlaces, here: Profile | undefined): Answer {
  const shapeOf = (name: string): LayerShape => layerOf(places.modelOf(name));
  const { us, low, high, tag, region, source } = projectOp(withRecordedRouting(row, places, shapeOf), {
    shapeOf,
    hardwareOf: (name) => adapterNamed(name, here) ?? places.hardwareOf(name),
  });
  return { us, low, high, tag, region, note: source };
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

/** The sizes of a layer. */
function layerOf({
  modelDim: hidden,
  expertDim: inter,
  experts,
  topK: topk,
  attention,
}: ModelFacts): LayerShape {
  const latent = attention.kind === 'latent';
  return {
    hidden,
    ...(experts > 1 && { moe: { inter, experts, topk } }),
    heads: attention.heads,
    kvHeads: latent ? attention.heads : attention.kvHeads,
    headDim: latent ? attention.nopeDim + attention.ropeDim : attention.headDim,
    latent,
  };
}

interface CommandOptions extends GlobalOptions, ProjectOptions {
  readonly out?: string;
  readonly timeline?: string;
}

/** Stretches of steps that a timeline shows; viewers grow slow beyond. A guess. */
const MOST_STRETCHES = 100_000;
const OTHER_TIMELINE = 'Name another place with --timeline.';

/** One deployment, and its timeline where one is asked for. */
async function tellDeployment(
  given: DeploymentOptions,
  timeline: string | undefined,
  json: boolean,
): Promise<void> {
  if (timeline === undefined) {
    const report = await projectDeployment(given);
    return json ? printJson(report) : printLines([renderDeployment(report)]);
  }
  await checkOutput(timeline, {
    inputs: given.trace === undefined ? [] : [given.trace],
    remedy: OTHER_TIMELINE,
  });
  const { report, simulation } = await deployed(given, MOST_STRETCHES);
  const { timelineOfSimulation } = await import('../../../profile/timeline/simulated.ts');
  const { writeTrace } = await import('../../files/trace-file.ts');
  const pools = given.disaggregate === undefined ? [''] : ['prefill', 'decode'];
  await writeTrace(timeline, timelineOfSimulation(simulation.stretches, pools));
  if (json) return printJson(report);
  const shown = simulation.stretches.length;
  const cut = shown === MOST_STRETCHES ? `, the first ${shown} stretches of steps` : '';
  await printLines([renderDeployment(report), '', `Wrote ${timeline}${cut}.`]);
}

export function describeProject(command: Command): Command {
  const described = command.description(
    'What a layout would deliver on hardware that is not here, or what operations would take: with an 80 % interval, where ' +
      'each number comes from, and the region of measurements that it lies in. Needs no GPU.',
  );
  return describeDeployment(described)
    .option('--cases <file>', 'a CSV file, a case in each row, in place of one deployment')
    .option('--result <file>', 'a bench result, whose adapter is "this adapter" in operations')
    .option('--out <file>', 'where the table of cases goes (default: stdout)')
    .option('--timeline <file>', "steps and their parts, in the profiler's formats")
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

Columns of a deployment: id, model, hardware, gpus, attn_tp, attn_dp, pp,
  moe_tp, ep, expert_slots, precision, phase, isl, osl, concurrency,
  batch_per_gpu, routing, framework; empty is derived or a default
  (framework: that of the model's plain published recipe)
  Model, hardware and routing may be paths: a config.json, a file of your
  own hardware, a trace of moebius routing.

Examples:
  moebius project --model deepseek-r1 --hardware h200 --precision fp8 \\
    --layout ep=8,tp=8 --isl 1024 --osl 1024 --concurrency 64
  moebius project --model deepseek-v3 --hardware h200 --layout ep=8,tp=8,dp=2 \\
    --disaggregate ep=16,tp=2 --timeline steps.json
  moebius project --cases in.csv --out out.csv`,
    )
    .action(async (_options: object, command: Command) => {
      const { out, json, timeline, ...given } = command.optsWithGlobals<CommandOptions>();
      if (given.cases === undefined) {
        if (out !== undefined) throw new ConfigError('--out is for the table of --cases. Leave it out.');
        const deployment: DeploymentOptions = chosen(given, OPTIONS);
        requireOptions('project', deployment, DEPLOYMENT_FIELDS);
        return tellDeployment(deployment, timeline, json === true);
      }
      if (timeline !== undefined)
        throw new ConfigError(
          '--timeline is of one deployment, and --cases has many. Leave one of them out.',
        );
      if (out !== undefined) await checkOutput(out, { inputs: [given.cases], remedy: OTHER_OUT });
      const report = await project(chosen(given, OPTIONS));
      if (!('csv' in report)) return;
      const { cases, csv } = report;
      if (out !== undefined) await writeWhole(out, csv, OTHER_OUT);
      if (json === true) return printJson({ ...(out === undefined ? {} : { out }), cases });
      if (out === undefined) return write(process.stdout, csv);
      const failed = cases.filter(
        (answer) => answer.us === undefined && answer.memory_gb === undefined,
      ).length;
      const why = failed === 0 ? '' : `, ${failed} of them not projected: see their notes`;
      return write(process.stdout, `${out}: ${cases.length} cases${why}.\n`);
    });
}
