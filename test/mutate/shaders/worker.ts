/** A process of `mutate:shaders`: it may be ended when a shader without a bound does not end. Asked and answered by messages. */
import { kernelCases } from '../../../src/validate/cases.ts';
import type { KernelCase } from '../../../src/validate/kernel-case.ts';
import { runCase, type CaseResult } from '../../../src/validate/run-case.ts';
import { scenes } from '../../hygiene/barrier-scenes.ts';
import { racesOf } from '../../hygiene/races.ts';
import { Devices } from './devices.ts';
import { type Ask, byRun, type Fate, type GoesOn, keyOf, type Pair, type Run } from './messages.ts';

const devices = new Devices();

function caseOf({ family, name }: Pair): KernelCase {
  const found = kernelCases.find((c) => c.family === family && c.name === name);
  if (found === undefined) throw new Error(`no case ${family}/${name}`);
  return found;
}

const DOES_NOT_COMPILE =
  /does not compile on this adapter|cannot be parsed|but its definition says|is refused by this adapter/;

/** FLOP of a dispatch, so that lists of tiles are recorded with those that are none. */
const LITTLE = 1;

async function resultOf(run: Run): Promise<CaseResult> {
  const { use, inPieces } = run;
  process.send?.({ goesOn: keyOf(run) } satisfies GoesOn);
  const gpu = await devices.of(use.kind);
  const usual = gpu.mostDispatchFlops;
  if (inPieces) gpu.mostDispatchFlops = LITTLE;
  try {
    return await runCase(gpu, caseOf(use), use.variant, { strict: true });
  } finally {
    gpu.mostDispatchFlops = usual;
  }
}

/** Whether runs pass with all shaders as they are: one that does not says nothing of a shader without a part. */
const whole = new Map<string, boolean>();
async function passesWhole(run: Run): Promise<boolean> {
  const known = whole.get(keyOf(run));
  if (known !== undefined) return known;
  devices.swap(undefined);
  const { pass } = await resultOf(run);
  whole.set(keyOf(run), pass);
  return pass;
}

async function judge({ path, text, runs, adapter }: Extract<Ask, { what: 'bound' }>): Promise<Fate> {
  let message: string | undefined;
  for (const run of runs) {
    devices.swap(path, text);
    const result = await resultOf(run);
    if (result.pass) continue;
    if (DOES_NOT_COMPILE.test(result.message)) return { fate: 'invalid', message: result.message };
    if (await passesWhole(run)) return fateOf(result, run, adapter);
    const { family, name, variant, kind } = run.use;
    message = `${family}/${name}, ${variant}, kind ${kind} fails with the whole shader`;
  }
  return { fate: 'survived', ...(message !== undefined && { message }) };
}

function fateOf({ message }: CaseResult, run: Run, adapter: string): Fate {
  const strict = message.includes('is written beyond its end');
  return { fate: 'caught', by: byRun(run, adapter), keys: [keyOf(run)], strict, message };
}

/** By the search for races, which knows no adapter. */
function judgeBarrier(path: string, text: string): Fate {
  const by = { how: 'races' } as const;
  const own = scenes.filter(({ shader }) => `${shader}.wgsl` === path);
  for (const scene of own) {
    try {
      const [race] = racesOf(text, scene);
      if (race !== undefined) return { fate: 'caught', by, message: `races: ${race}` };
    } catch (error) {
      // Lanes that part before a barrier: the text with all of its barriers is interpreted to its end.
      return { fate: 'caught', by, message: `not in step: ${error instanceof Error ? error.message : ''}` };
    }
  }
  return { fate: 'survived' };
}

process.on('message', (ask: Ask) => {
  void (async () => {
    try {
      if (ask.what === 'survey') process.send?.({ uses: await devices.survey(ask.kinds) });
      else if (ask.what === 'barrier') process.send?.(judgeBarrier(ask.path, ask.text));
      else process.send?.(await judge(ask));
    } catch (error) {
      process.send?.({ fate: 'failed', message: error instanceof Error ? error.message : String(error) });
    }
  })();
});
process.on('disconnect', () => process.exit(0));
