/** What of a checked checkpoint is not as it should be. */
import type { CheckpointCheck, EndCheck, LayerCheck } from './check-checkpoint.ts';

export interface Limits {
  /** Worst error of the device beside float64, in parts of the largest value of a row. */
  readonly tolerance: number;
  /** The same of float64 and the device beside the user's file. */
  readonly reference: number;
}

/** Sentences, one for each thing that fails; none when all is well. */
export function failuresOf(found: CheckpointCheck, limits: Limits): string[] {
  const { oneRank, layout } = found.ends;
  const failures = [
    ...('refused' in oneRank ? [] : ofRun(found, 'one rank', oneRank, limits.tolerance)),
    ...ofRun(found, 'the layout', layout, limits.tolerance),
  ];
  const beyond = (what: string, error: number, limit: number): void => {
    if (!(error <= limit)) failures.push(`${what} is off by ${error.toPrecision(2)}, more than ${limit}`);
  };
  for (const { layer, reference } of found.layers) {
    if (reference === undefined) continue;
    beyond(`layer ${layer} in float64 beside the file`, reference.float64, limits.reference);
    beyond(`layer ${layer} on the device beside the file`, reference.device, limits.reference);
  }
  const { logits } = found.reference ?? {};
  if (logits !== undefined) beyond('the logits of the file beside float64', logits, limits.reference);
  return failures;
}

function ofRun(
  found: CheckpointCheck,
  where: 'one rank' | 'the layout',
  end: EndCheck,
  limit: number,
): string[] {
  const failures: string[] = [];
  // After a tie that was as good as equal the device is on a way of its own, and right there.
  let parted = false;
  for (const row of found.layers) {
    const own: LayerCheck | undefined = where === 'one rank' ? row.oneRank : row.layout;
    if (own === undefined) continue;
    const { error, errorSoFar, choices, choicesSoFar } = own;
    const name = `layer ${row.layer} on ${where}`;
    if (choices.nearTies === 0 && !(error <= limit))
      failures.push(`${name} is off by ${error.toPrecision(2)}`);
    if (choices.wrong > 0)
      failures.push(`${name} chooses other experts for ${choices.wrong} of ${choices.tokens} tokens`);
    if (!parted && choicesSoFar.wrong > 0 && choices.wrong === 0) {
      failures.push(`${name}, after those before it, chooses other experts for ${choicesSoFar.wrong} tokens`);
    }
    parted ||= choicesSoFar.nearTies > 0 || choices.nearTies > 0;
    if (!parted && error <= limit && !(errorSoFar <= limit)) {
      failures.push(`${name}, after those before it, is off by ${errorSoFar.toPrecision(2)}`);
    }
  }
  if (!parted && !(end.error <= limit))
    failures.push(`the logits on ${where} are off by ${end.error.toPrecision(2)}`);
  return failures;
}
