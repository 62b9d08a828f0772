/** Text from a model on all ranks of a layout, told token by token. */
import { ConfigError } from '../../../core/errors.ts';
import { at, range } from '../../../core/math.ts';
import { formatBytes } from '../../../core/units.ts';
import { planLayout } from '../../../layout/layout.ts';
import { parseLayout } from '../../../layout/spec.ts';
import type { EngineSizing } from '../../../memory/engine-plan.ts';
import { requireRoom } from '../../../memory/room.ts';
import type { Checkpoint } from '../../../model/checkpoint.ts';
import type { MoeConfig } from '../../../model/config.ts';
import { parseLayerRun } from '../../../model/files/layers.ts';
import { storedDtypes, type WeightDtypes } from '../../../model/stored-weights.ts';
import { checkLength, idsOf } from '../../../model/text/prompt.ts';
import { createEngine, type StepResult } from '../../../runtime/engine.ts';
import { generate } from '../../../runtime/generate.ts';
import { traitsOf } from '../../../runtime/layer/kernels.ts';
import { requireSampling, type SamplingOptions } from '../../../runtime/sampling.ts';
import type { JobOf } from '../../protocol/jobs.ts';
import type { OutcomeOf, Token } from '../../protocol/reports.ts';
import type { JobContext } from '../context.ts';
import { droppedModel, tinyMoe } from '../models.ts';

export async function generateJob(
  job: JobOf<'generate'>,
  context: JobContext,
): Promise<OutcomeOf<'generate'>> {
  const { steps, base } = context;
  if (job.model.length === 0) {
    return continued(await steps.step('Load the model', (say) => tinyMoe(base, say)), {}, job, context);
  }
  const layers = job.layers.trim() === '' ? undefined : parseLayerRun(job.layers);
  let bytes = 0;
  const model = await steps.step('Open the model', () =>
    droppedModel(job.model, { layers, onRead: (count) => (bytes += count) }),
  );
  try {
    const read = (): string => `${formatBytes(bytes)} read`;
    return await continued(model, { read, dtypes: storedDtypes(model) }, job, context);
  } finally {
    await model.close();
  }
}

interface Source {
  /** How much was read of it, in words. */
  readonly read?: () => string;
  /** How its matrices are stored on the device, where not in f32. */
  readonly dtypes?: WeightDtypes;
}

async function continued(
  model: Checkpoint,
  { read, dtypes }: Source,
  job: JobOf<'generate'>,
  context: JobContext,
): Promise<OutcomeOf<'generate'>> {
  const { prompt, chat, tokens, temperature, topK, topP, repetitionPenalty, seed } = job;
  const { steps, tell, platform } = context;
  const { config, tokenizer, endIds } = model;
  const layout = planLayout(parseLayout(job.layout), config);
  if (tokenizer === undefined) {
    throw new ConfigError(
      'this model has neither tokenizer.json nor vocab.json, so text cannot become tokens. Drop its tokenizer too.',
    );
  }
  const promptIds = idsOf(tokenizer, { prompt, chat });
  checkLength(promptIds.length, 'tokens', tokens, config.maxPositions);
  const sampling: SamplingOptions = {
    ...{ temperature, topP, repetitionPenalty },
    ...(topK > 0 && { topK }),
  };
  requireSampling(sampling);
  const sizing: EngineSizing = {
    ...{ maxSequences: 1, maxLength: promptIds.length + tokens, maxStepTokens: promptIds.length },
    ...(dtypes && { dtypes }),
  };
  const gpu = await context.openGpu();
  const needed = requireRoom(layout, sizing, traitsOf(gpu), undefined);
  const began = platform.now();
  const engine = await steps.step(
    `Prepare ${layout.worldSize} ranks: ${formatBytes(needed)} on the device`,
    (say) =>
      createEngine(gpu, {
        ...{ layout, weights: model, ...sizing },
        say: (text) => say(read ? `${text}: ${read()}` : text),
      }),
  );
  const engineNs = platform.now() - began;
  try {
    const stream = tokenizer.stream();
    let pending: Omit<Token, 'text'> | undefined;
    const found = await steps.step(`Continue on ${layout.worldSize} ranks`, () =>
      generate(engine, {
        ...{ promptIds, tokens, endIds, ...sampling, seed },
        step: { experts: true, timing: gpu.has('timestamp-query') ? 'span' : 'none' },
        onStep: (step) => {
          pending = {
            hostNs: step.hostNs,
            rows: rowsOf(step),
            stages: stagesOf(step),
            load: loadOf(step, config),
          };
        },
        onToken: (id) => {
          const text = endIds.includes(id) ? '' : stream.push(id);
          if (pending) tell({ tokens: [{ ...pending, text }] });
        },
      }),
    );
    const ended = endIds.includes(found.ids.at(-1) ?? -1);
    return {
      ...{ kind: 'generate', model: config.name, worldSize: layout.worldSize, engineNs, ended },
      text: tokenizer.decode(ended ? found.ids.slice(0, -1) : found.ids),
      ...{ prefillNs: found.prefillNs, decodeNs: found.decodeNs, hostSyncsInLayers: found.hostSyncsInLayers },
    };
  } finally {
    engine.destroy();
  }
}

function rowsOf({ experts }: StepResult): number {
  const [layer] = experts?.[0] ?? [];
  return layer?.length ?? 0;
}

function stagesOf({ spans }: StepResult): Token['stages'] {
  const byStage = new Map<number, number>();
  for (const { tag, ns = 0 } of spans) byStage.set(tag.stage, (byStage.get(tag.stage) ?? 0) + ns);
  return [...byStage].sort(([a], [b]) => a - b).map(([stage, ns]) => ({ stage, ns }));
}

/** Choices by layer and expert, of all tokens of the step. */
function loadOf({ experts = [] }: StepResult, { numLayers, numExperts }: MoeConfig): number[][] {
  return range(numLayers).map((layer) => {
    const counts = range(numExperts).map(() => 0);
    for (const request of experts) for (const id of at(request, layer)) counts[id] = (counts[id] ?? 0) + 1;
    return counts;
  });
}
