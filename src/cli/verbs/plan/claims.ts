/** `moebius claims`: the statements of a strategy, each held against a formula. */
import type { Command } from 'commander';
import { ConfigError } from '../../../core/errors.ts';
import { chosen, requireOptions, type Fields } from '../../../core/given.ts';
import { didYouMean } from '../../../core/text/near-names.ts';
import { quoted } from '../../../core/text/quoted.ts';
import { MOST_JSON_BYTES } from '../../../model/safetensors/strict-json.ts';
import { CARD_STRATEGY } from '../../../planner/claims/card.ts';
import { CHECKS } from '../../../planner/claims/checks.ts';
import { evaluateClaims, type ClaimsReport } from '../../../planner/claims/evaluate.ts';
import { renderClaims } from '../../../planner/claims/render.ts';
import { readStrategy, type Strategy } from '../../../planner/claims/strategy.ts';
import { wrap } from '../../../layout/text.ts';
import { collect, type GlobalOptions } from '../../options.ts';
import { printJson, printLines } from '../../output.ts';
import { platformHere } from '../../session.ts';

/** Options of `claims`, those of `moebius claims`. */
export interface ClaimsOptions {
  /** The path of a strategy; the reference deployment's statements when absent. */
  readonly strategy?: string;
  /** One statement, by its id. */
  readonly only?: string;
  /** 'modelDim=4096' and so on: taken as given by the strategy, in place of what it gives or leaves open. */
  readonly set?: readonly string[];
}

const OPTIONS: Fields = { strategy: 'string?', only: 'string?', set: 'list?' };

/**
 * Which statements of a strategy hold, fail, hold under a condition, or cannot be decided from what is given.
 * @throws ConfigError for a file that is no strategy, or an id that it does not have.
 */
export async function claims(options: ClaimsOptions = {}): Promise<ClaimsReport> {
  requireOptions('claims', options, OPTIONS);
  const { strategy: path, only } = options;
  const strategy = path === undefined ? CARD_STRATEGY : await strategyAt(path);
  const chosenClaims = only === undefined ? strategy.claims : strategy.claims.filter(({ id }) => id === only);
  if (only !== undefined && chosenClaims.length === 0) {
    const ids = strategy.claims.map(({ id }) => id);
    throw new ConfigError(
      `${strategy.name} has no statement ${quoted(only)}${didYouMean(only, ids)}. There are: ${ids.join(', ')}.`,
    );
  }
  const given = { ...strategy.given, ...settings(options.set ?? []) };
  return evaluateClaims({ ...strategy, given, claims: chosenClaims }, path);
}

/** @throws ConfigError for what is not name=number. */
function settings(texts: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    texts.map((text) => {
      const [name = '', value = ''] = text.split('=');
      const number = value.trim() === '' ? NaN : Number(value);
      if (name === '' || !Number.isFinite(number)) {
        throw new ConfigError(`--set ${quoted(text)} is not name=number, as --set modelDim=4096.`);
      }
      return [name.trim(), number];
    }),
  );
}

async function strategyAt(path: string): Promise<Strategy> {
  return readStrategy(await platformHere().readFile(path, MOST_JSON_BYTES), path);
}

interface CommandOptions extends GlobalOptions {
  readonly only?: string;
  readonly set: readonly string[];
  readonly example?: boolean;
  readonly checks?: boolean;
}

export function describeClaims(command: Command): Command {
  return command
    .description(
      'Holds each statement of a strategy against a formula: holds, fails, holds under a condition, or cannot be decided. Needs no GPU.',
    )
    .argument('[strategy]', 'a strategy.json; the reference deployment when absent')
    .option('--only <id>', 'one statement, with inputs, formula and what would make it true')
    .option('--set <name=number>', 'an input, in place of what the strategy gives; repeatable', collect, [])
    .option('--checks', 'every formula that a statement can name, with its inputs')
    .option('--example', 'the statements that ship, in the format of a file of your own')
    .addHelpText(
      'after',
      `
Examples:
  moebius claims
  moebius claims --only rate-per-gpu
  moebius claims --example > mine.json && moebius claims mine.json`,
    )
    .action(async (strategy: string | undefined, _options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      if (given.example) return printJson(CARD_STRATEGY);
      if (given.checks) return given.json ? printJson(checksList()) : printLines([checksText()]);
      const report = await claims(chosen({ ...given, ...(strategy !== undefined && { strategy }) }, OPTIONS));
      if (given.json) return printJson(report);
      await printLines([renderClaims(report, given.only !== undefined)]);
    });
}

function checksList(): object[] {
  return [...CHECKS].map(([name, { tells, unit, formula, inputs }]) => ({
    name,
    tells,
    unit,
    formula,
    inputs,
  }));
}

function checksText(): string {
  return [...CHECKS]
    .map(([name, { tells, unit, formula, inputs }]) => {
      const list = Object.entries(inputs).map(([input, { unit: of, assumed }]) => {
        return `${input}${of && ` (${of})`}${assumed === undefined ? '' : ` = ${assumed}`}`;
      });
      return [
        ...wrap(`${name}: ${tells}${unit && `, ${unit}`}`, '', '  '),
        ...wrap(`inputs: ${list.join(', ')}`, '    ', '      '),
        ...wrap(formula, '    ', '      '),
      ].join('\n');
    })
    .join('\n');
}
