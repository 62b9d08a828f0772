/** From arguments to an exit code: 0 done, 1 a check failed, 2 wrong use, 70 our own fault, 130 interrupted. */
import { CommanderError } from 'commander';
import { CancelledError, CheckError, ConfigError, messageOf } from '../core/errors.ts';
import { printable } from '../core/text/printable.ts';
import { shortened } from '../core/text/quoted.ts';
import { INTERRUPTED, ownInterrupts } from './process/interrupt.ts';
import { complain, hasPrintedJson, printJson, watchOutput, write } from './output.ts';
import { buildProgram } from './program.ts';
import { ownStderr } from './process/quiet.ts';

export const EXIT = { done: 0, checkFailed: 1, wrongUse: 2, fault: 70, interrupted: INTERRUPTED } as const;

export interface Failure {
  readonly code: number;
  readonly kind: 'check' | 'usage' | 'fault' | 'interrupted';
  readonly message: string;
}

const NO_COMMAND =
  'name a command: doctor, layout, generate, validate, tune, op, bench, compare, growth or serve';

/** Undefined for what commander throws after it has shown help or the version. */
export function failureOf(error: unknown): Failure | undefined {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return undefined;
    // What commander says when it has shown the help because there was no command.
    const said = error.code === 'commander.help' ? NO_COMMAND : error.message;
    const message = said.replace(/^error: /, '');
    const hint = ' See "moebius --help".';
    return { code: EXIT.wrongUse, kind: 'usage', message: sentence(message) + hint };
  }
  const message = sentence(messageOf(error));
  if (error instanceof ConfigError) return { code: EXIT.wrongUse, kind: 'usage', message };
  if (error instanceof CheckError) return { code: EXIT.checkFailed, kind: 'check', message };
  if (error instanceof CancelledError) return { code: EXIT.interrupted, kind: 'interrupted', message };
  const hint = process.env.MOEBIUS_DEBUG ? '' : ' Set MOEBIUS_DEBUG=1 to see where.';
  return { code: EXIT.fault, kind: 'fault', message: `unexpected: ${message}${hint}` };
}

/** A message may quote a name of 5 MB. A guess. */
const LONGEST = 640;

/** One line, whatever the text that it quotes. */
function sentence(message: string): string {
  const line = printable(shortened(message.trimEnd(), LONGEST).replace(/\s*\n\s*/g, ' '));
  return /[.?!)]$/.test(line) ? line : `${line}.`;
}

/** Runs one command line and ends the process. */
export async function run(args: readonly string[]): Promise<never> {
  return endWith('moebius', args.includes('--json'), async () => {
    await buildProgram().parseAsync([...args], { from: 'user' });
  });
}

/**
 * Does `work`, tells on stderr and in the exit code what became of it, and ends the process: Dawn keeps handles that
 * would hold it open. @param name of the program. @param json whether failures are an object on stdout as well.
 */
export async function endWith(name: string, json: boolean, work: () => Promise<void>): Promise<never> {
  watchOutput();
  ownStderr();
  ownInterrupts();
  let code: number = EXIT.done;
  try {
    await work();
  } catch (error) {
    const failure = failureOf(error);
    if (failure !== undefined) {
      code = failure.code;
      if (process.env.MOEBIUS_DEBUG && error instanceof Error) await complain(error.stack ?? error.message);
      else await complain(`${name}: ${failure.message}`);
      // A failed check, or a place that failed at the end, comes after the result.
      if (json && !hasPrintedJson())
        await printJson({ error: { kind: failure.kind, message: failure.message } });
    }
  }
  // Help and version are written by commander, which does not wait.
  await write(process.stdout, '');
  process.exit(code);
}
