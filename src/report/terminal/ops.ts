/** What an op takes and gives, told to a person. */
import { ruleText } from '../../ops/attrs.ts';
import type { AttrRule, OpFacts, TensorRule } from '../../ops/op.ts';
import { lastOver, scalesName } from '../../ops/quantised-inputs.ts';
import { PLAIN, type Style } from './style.ts';
import { drawFacts, paragraph } from './table.ts';

export function renderOpList(ops: readonly OpFacts[], style: Style = PLAIN): string[] {
  return [
    style.bold('Ops'),
    ...drawFacts(ops.map(({ name, about }) => [name, about] as const)),
    '',
    'moebius op <name> --help shows its tensors, attributes and variants.',
  ];
}

export function renderOp(op: OpFacts, style: Style = PLAIN): string[] {
  return [
    `${style.bold(op.name)}: ${op.about}`,
    '',
    `Usage: moebius op ${op.name} --in <file> --out <file> [--attr name=value ...]`,
    '',
    style.bold('Tensors in'),
    ...drawFacts(op.inputs.flatMap((rule) => [tensorFact(rule), ...scaleFacts(rule)])),
    '',
    style.bold('Tensors out'),
    ...drawFacts(op.outputs.map(tensorFact)),
    '',
    style.bold('Attributes'),
    ...(op.attrs.length === 0 ? ['  none'] : drawFacts(op.attrs.map(attrFact))),
    '',
    style.bold('Variants'),
    ...drawFacts(op.variants.map(({ name, idea }) => [name, idea] as const)),
    '',
    ...paragraph('Without --variant the best one that can run here is taken.', ''),
  ];
}

function tensorFact({ name, dims, dtypes, optional, about }: TensorRule): [string, string] {
  return [name, `${dims} ${dtypes.join(' or ')}${optional ? ', optional' : ''}: ${about}`];
}

/** How the weights of a rule may be quantised. */
function scaleFacts({ name, dims, quantised }: TensorRule): [string, string][] {
  if (!quantised) return [];
  return [
    [
      scalesName(name),
      `${name} may be quantised: i8 ${dims} with f32 scales ${dims.replace(/, [^,]*\]$/, ']')}, or u8 ${lastOver(dims, 2)} ` +
        `with scales ${lastOver(dims, 32)} in f32 (int4) or u8 (mxfp4)`,
    ],
  ];
}

function attrFact(rule: AttrRule): [string, string] {
  const byDefault = rule.default ?? rule.derived;
  const shown = typeof byDefault === 'boolean' ? Number(byDefault) : byDefault;
  const note = shown === undefined ? 'required' : `${shown} by default`;
  return [rule.name, `${ruleText(rule)}, ${note}: ${rule.about}`];
}
