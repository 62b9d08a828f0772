/** From arguments to an exit code: 0 done, 1 a check failed, 2 wrong use, 70 our own fault. */
import { CommanderError } from 'commander';
import { CheckError, ConfigError, messageOf } from '../core/errors.ts';
import { endWhenReaderLeaves, printJson, write } from './output.ts';
import { buildProgram } from './program.ts';

export const EXIT = { done: 0, checkFailed: 1, wrongUse: 2, fault: 70 } as const;

export interface Failure {
  readonly code: number;
  readonly kind: 'check' | 'usage' | 'fault';
  readonly message: string;
}

const NO_COMMAND = 'name a command: doctor, layout, generate, validate, tune, op, bench or growth';

/** Undefined for what commander throws after it has shown help or the version. */
export function failureOf(error: unknown): Failure | undefined {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return undefined;
    // What commander says when it has shown the help because there was no command.
    const said = error.code === 'commander.help' ? NO_COMMAND : error.message;
    const message = said.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
    const hint = ' See "moebius --help".';
    return { code: EXIT.wrongUse, kind: 'usage', message: sentence(message) + hint };
  }
  const message = sentence(messageOf(error));
  if (error instanceof ConfigError) return { code: EXIT.wrongUse, kind: 'usage', message };
  if (error instanceof CheckError) return { code: EXIT.checkFailed, kind: 'check', message };
  const hint = process.env.MOEBIUS_DEBUG ? '' : ' Set MOEBIUS_DEBUG=1 to see where.';
  return { code: EXIT.fault, kind: 'fault', message: `unexpected: ${message}${hint}` };
}

function sentence(message: string): string {
  return /[.?!)]$/.test(message.trimEnd()) ? message.trimEnd() : `${message.trimEnd()}.`;
}

/** Runs one command line and ends the process: Dawn keeps handles that would hold it open. */
export async function run(args: readonly string[]): Promise<never> {
  endWhenReaderLeaves();
  let code: number = EXIT.done;
  try {
    await buildProgram().parseAsync([...args], { from: 'user' });
  } catch (error) {
    const failure = failureOf(error);
    if (failure !== undefined) {
      code = failure.code;
      if (process.env.MOEBIUS_DEBUG && error instanceof Error)
        await write(process.stderr, `${error.stack}\n`);
      else await write(process.stderr, `moebius: ${failure.message}\n`);
      // A failed check has printed its result already.
      if (args.includes('--json') && failure.kind !== 'check') {
        await printJson({ error: { kind: failure.kind, message: failure.message } });
      }
    }
  }
  process.exit(code);
}
