/** The `config.json` of a Hugging Face checkpoint. What the harness does not compute is refused, not ignored. */
import type { MoeConfig } from './config.ts';
import { readModelConfig } from './families/table.ts';

/**
 * @param name what reports call the model.
 * @param label names the file in messages.
 * @throws ConfigError naming the field for anything missing, of the wrong type, impossible or unsupported.
 */
export function readHfConfig(bytes: Uint8Array, name: string, label: string): MoeConfig {
  return readModelConfig(bytes, name, label).config;
}
