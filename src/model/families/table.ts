/** The families whose checkpoints run, by the `model_type` of their config.json: whatever is told of one is told here. */
import { ConfigError } from '../../core/errors.ts';
import { didYouMean } from '../../core/text/near-names.ts';
import { quoted } from '../../core/text/quoted.ts';
import { refusePointer } from '../safetensors/header.ts';
import { parseStrictJson } from '../safetensors/strict-json.ts';
import { checkConfig } from '../weight-shapes.ts';
import { ConfigFile } from './config-file.ts';
import type { Family, FamilyModel } from './family.ts';
import { gptOss } from './gpt-oss.ts';
import { graniteMoe, mixtral, olmoe } from './plain.ts';
import { qwen2Moe, qwen3Moe } from './qwen.ts';
import { dots1, ernie45Moe, glm4Moe, miniMaxM2 } from './sigmoid.ts';

export const FAMILIES: readonly Family[] = [
  mixtral,
  qwen3Moe,
  qwen2Moe,
  olmoe,
  graniteMoe,
  gptOss,
  glm4Moe,
  dots1,
  miniMaxM2,
  ernie45Moe,
];

/** A config with the family that has read it. */
export interface ReadModel extends FamilyModel {
  readonly family: Family;
}

/**
 * @param name what reports call the model. @param label names the file in messages.
 * @throws ConfigError naming the field for anything missing, of the wrong type, impossible or unsupported.
 */
export function readModelConfig(bytes: Uint8Array, name: string, label: string): ReadModel {
  refusePointer(bytes, label);
  return modelOfConfig(parseStrictJson(bytes, label), name, label);
}

/** The same from what the JSON holds. */
export function modelOfConfig(json: unknown, name: string, label: string): ReadModel {
  const types = FAMILIES.map(({ type }) => type);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ConfigError(`${label} is no JSON object. It must be the config.json of a Hugging Face model.`);
  }
  const fields = json as Readonly<Record<string, unknown>>;
  const type = Object.hasOwn(fields, 'model_type') ? fields.model_type : undefined;
  const { architectures } = fields;
  const family = FAMILIES.find(
    ({ type: own, also }) =>
      own === type ||
      (also?.type === type && Array.isArray(architectures) && architectures.includes(also?.architecture)),
  );
  if (family === undefined) {
    const near = typeof type === 'string' ? didYouMean(type, types) : '';
    const what =
      type === undefined
        ? 'has no model_type, as the config.json of a Hugging Face model has'
        : `sets model_type to ${quoted(type)}, which is not supported`;
    throw new ConfigError(`${label} ${what}${near}. Supported: ${types.join(', ')}.`);
  }
  const form = `It must hold the fields of the config.json of a ${family.title} model.`;
  const supported = ` Families that run, as published: ${types.join(', ')}.`;
  const model = family.read(new ConfigFile(fields, label, form, supported), name);
  checkConfig(model.config);
  return { ...model, family };
}
