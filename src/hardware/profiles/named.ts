/** Hardware by any common spelling of its name. */
import { ConfigError } from '../../core/errors.ts';
import { didYouMean } from '../../core/text/near-names.ts';
import { quoted } from '../../core/text/quoted.ts';
import { PROFILES } from './list.ts';
import type { Profile } from './profile.ts';

/** Lower case, without separators and the maker's name: `NVIDIA H100-SXM` and `h100_sxm` are one. */
const plain = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '')
    .replace(/^nvidia/, '');

const BY_SPELLING = new Map(
  PROFILES.flatMap((profile) => [profile.name, ...profile.spellings].map((name) => [plain(name), profile])),
);

/** Names of all profiles. */
export const HARDWARE_NAMES: readonly string[] = PROFILES.map(({ name }) => name);

/** A profile by name: `h100`, `H100-SXM`, `h100_sxm`, `NVIDIA H100 80GB`. @throws ConfigError for one that there is not. */
export function hardwareNamed(spelling: string): Profile {
  const found = BY_SPELLING.get(plain(spelling));
  if (found !== undefined) return found;
  throw new ConfigError(
    `there is no hardware ${quoted(spelling)}${didYouMean(spelling, HARDWARE_NAMES)}. There is: ${HARDWARE_NAMES.join(', ')}.`,
  );
}
