/** What lies in a folder that is no checkpoint as it is read here: the usual mistakes, each with its way out. */
import { readdir } from 'node:fs/promises';
import { ConfigError } from '../../core/errors.ts';
import { quoted } from '../../core/text/quoted.ts';

const CONFIG = 'config.json';
const WEIGHTS = ['model.safetensors', 'model.safetensors.index.json'];

/** The first file with such an ending, as a message shows it. */
function oneOf(files: readonly string[], ending: RegExp): string | undefined {
  const found = files.find((file) => ending.test(file));
  return found === undefined ? undefined : quoted(found);
}

/**
 * @param what the folder is asked for: its config alone, or its weights too.
 * @throws ConfigError for one that has them not, where what it has instead tells why.
 */
export async function requireCheckpoint(folder: string, what: 'config' | 'weights'): Promise<void> {
  const files = (await readdir(folder).catch(() => undefined))?.sort();
  // Whoever reads it tells why it cannot be read.
  if (files === undefined) return;
  const hasConfig = files.includes(CONFIG);
  if (hasConfig && (what === 'config' || WEIGHTS.some((file) => files.includes(file)))) return;
  const told = hasConfig ? withoutWeights(files) : withoutConfig(files);
  if (told !== undefined) throw new ConfigError(`${folder} ${told}`);
}

function withoutConfig(files: readonly string[]): string | undefined {
  if (files.includes('snapshots') && files.includes('blobs')) {
    return "is a model's folder in the hub's cache. Name one of the folders in its snapshots.";
  }
  return ofGguf(files) ?? (files.length === 0 ? 'is empty. Fetch the model into it.' : undefined);
}

function withoutWeights(files: readonly string[]): string | undefined {
  const pickle = oneOf(files, /\.(?:bin|pth|pt|ckpt)$/);
  const shard = oneOf(files, /-of-\d+\.safetensors$/);
  const other = oneOf(files, /\.safetensors$/);
  if (shard !== undefined) {
    return `has shards such as ${shard}, but no model.safetensors.index.json, which says what is where. Fetch it too.`;
  }
  if (other !== undefined) {
    return `has ${other}, but no model.safetensors. Adapters are no models: merge it into its model, or fetch that.`;
  }
  if (pickle !== undefined) {
    return (
      `has its weights in ${pickle}: files of PyTorch can run code and are not read. Fetch the safetensors of the model, ` +
      'or write them: AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder).'
    );
  }
  return ofGguf(files);
}

function ofGguf(files: readonly string[]): string | undefined {
  const gguf = oneOf(files, /\.gguf$/i);
  return gguf === undefined
    ? undefined
    : `has ${gguf}: GGUF files are not read. Fetch the model that it was made of, config.json and safetensors.`;
}
