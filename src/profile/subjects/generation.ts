/** A whole generation: the prompt's step, and one for every further token, with what the host does in between. */
import { at } from '../../core/math.ts';
import type { Engine, StepOptions, StepResult } from '../../runtime/engine.ts';
import { generate, type GenerateOptions } from '../../runtime/generate.ts';
import type { RunHostTime, RunPiece } from '../run.ts';
import type { Subject } from './subject.ts';

/** @throws ConfigError when it runs, as `generate`. */
export function generationSubject(
  engine: Engine,
  asked: Pick<GenerateOptions, 'promptIds' | 'tokens' | 'temperature' | 'seed'>,
): Subject {
  const { gpu } = engine;
  const steps = async (
    step: StepOptions,
    results: StepResult[],
  ): Promise<{ wallNs: number; endNs: number }> => {
    const beganNs = gpu.now();
    await generate(engine, { ...asked, step, onStep: (result) => void results.push(result) });
    const endNs = gpu.now();
    return { wallNs: endNs - beganNs, endNs };
  };
  return {
    run: async (timing, apart = false) => {
      const results: StepResult[] = [];
      try {
        // Reading the times of one step would come before the next.
        const { wallNs, endNs } = await steps({ timing, apart, timesLater: true }, results);
        const pieces: RunPiece[] = [];
        for (const [i, result] of results.entries()) {
          const times = await result.later?.read();
          pieces.push({
            ...pieceOf(result, results[i - 1], i + 1 === results.length ? endNs : undefined),
            ...times,
          });
        }
        return { wallNs, pieces };
      } finally {
        for (const { later } of results) later?.discard();
      }
    },
    expertRows: async () => {
      const results: StepResult[] = [];
      await steps({ experts: true }, results);
      return results.map(({ expertRows = [] }) => expertRows);
    },
  };
}

/** A step with the choice of the token that it begins with; the last one also with that of the last token. */
function pieceOf(result: StepResult, before: StepResult | undefined, endNs: number | undefined): RunPiece {
  const host: RunHostTime[] = [...result.host];
  const stepEndNs = at(host, host.length - 1).endNs;
  const lastNs = before?.host.at(-1)?.endNs;
  if (lastNs !== undefined) host.unshift({ phase: 'choose', beginNs: lastNs, endNs: at(host, 0).beginNs });
  if (endNs !== undefined) host.push({ phase: 'choose', beginNs: stepEndNs, endNs });
  return {
    part: before === undefined ? 'prefill' : 'decode',
    ...{ spans: result.spans, submits: result.submits, host },
    hostNs: at(host, host.length - 1).endNs - at(host, 0).beginNs,
    hostSyncs: 1 + result.hostSyncsInLayers,
  };
}
