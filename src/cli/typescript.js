// Lets Node load TypeScript: tsx strips the types on the way. It keeps the results in the folder for temporary files
// and ends with a stack where that cannot be written, so the folder is tried first.
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { register as registerHook } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const user = process.geteuid?.();
const folder = user === undefined ? tmpdir() : join(tmpdir(), `tsx-${user}`);
try {
  // Not `recursive`: that tries for ever where a folder is there and none can be made in it, as in /proc.
  if (!existsSync(folder)) mkdirSync(folder);
  accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
} catch {
  process.env.TSX_DISABLE_CACHE = '1';
}
const { register } = await import('tsx/esm/api');
register();
registerHook('./source-condition.js', import.meta.url);
