/** Text from a model on all ranks of a layout, told token by token. */
import { at, range } from '../../../core/math.ts';
import { ConfigError } from '../../../core/errors.ts';
import { planLayout } from '../../../layout/layout.ts';
import { parseLayout } from '../../../layout/spec.ts';
import type { MoeConfig } from '../../../model/config.ts';
import { createEngine, type StepResult } from '../../../runtime/engine.ts';
import { generate } from '../../../runtime/generate.ts';
import type { JobOf } from '../../protocol/jobs.ts';
import type { OutcomeOf, Token } from '../../protocol/reports.ts';
import type { JobContext } from '../context.ts';
import { modelOf } from '../models.ts';

export async function generateJob(
  job: JobOf<'generate'>,
  context: JobContext,
): Promise<OutcomeOf<'generate'>> {
  const { prompt, tokens, temperature, seed } = job;
  const { steps, tell, base, platform } = context;
  const spec = parseLayout(job.layout);
  const model = await steps.step('Load the model', (say) => modelOf(job.model, base, say));
  const { config, tokenizer } = model;
  const layout = planLayout(spec, config);
  if (tokenizer === undefined) {
    throw new ConfigError(
      'this model has no vocab.json, so text cannot become tokens. Drop its vocabulary too.',
    );
  }
  const promptIds = tokenizer.encode(prompt);
  const maxLength = promptIds.length + tokens;
  if (maxLength > config.maxPositions) {
    throw new ConfigError(
      `the prompt of ${promptIds.length} tokens and ${tokens} more make ${maxLength} positions; the model was ` +
        `trained for ${config.maxPositions}. Ask for ${maxLength - config.maxPositions} fewer.`,
    );
  }
  const gpu = await context.openGpu();
  const began = platform.now();
  const engine = await steps.step(`Prepare ${layout.worldSize} ranks: weights, kernels`, async (say) => {
    const stop = watchCompiling(gpu.pipelines, say);
    try {
      return await createEngine(gpu, {
        ...{ layout, weights: model, maxSequences: 1, maxLength, maxStepTokens: promptIds.length },
      });
    } finally {
      stop();
    }
  });
  const engineNs = platform.now() - began;
  try {
    let pending: Omit<Token, 'text'> | undefined;
    const found = await steps.step(`Continue on ${layout.worldSize} ranks`, () =>
      generate(engine, {
        ...{ promptIds, tokens, temperature, seed },
        step: { experts: true, timing: gpu.has('timestamp-query') ? 'span' : 'none' },
        onStep: (step) => {
          pending = {
            hostNs: step.hostNs,
            rows: rowsOf(step),
            stages: stagesOf(step),
            load: loadOf(step, config),
          };
        },
        onToken: (id) => pending && tell({ tokens: [{ ...pending, text: tokenizer.decode([id]) }] }),
      }),
    );
    return {
      ...{ kind: 'generate', model: config.name, worldSize: layout.worldSize, engineNs },
      text: tokenizer.decode(found.ids),
      ...{ prefillNs: found.prefillNs, decodeNs: found.decodeNs, hostSyncsInLayers: found.hostSyncsInLayers },
    };
  } finally {
    engine.destroy();
  }
}

/** Says every second how far compiling has come, by what the cache has. */
function watchCompiling(_pipelines: unknown, say: (text: string) => void): () => void {
  const began = performance.now();
  const timer = setInterval(() => {
    say(`uploading weights and compiling kernels, ${Math.round((performance.now() - began) / 1000)} s`);
  }, 500);
  return () => clearInterval(timer);
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
