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

/** What tools put beside the name of a GPU: makers, boards, kinds of memory. PCIe and NVL are other GPUs. */
const BESIDE =
  /^(nvidia|amd|intel|instinct|arc|pro|tensor|core|gpus?|sxm\d?|oam|hgx|dgx|hbm\d?e?|[a-z]?x\d|\d+x|superchip|accelerator)$/;
const SIZE = /^(\d{2,3})(gb|g|gib)?$/;
/** A size that is named may be the printed one, or what is left of it for programs: 192 and 180 of a B200. */
const SAME_SIZE = 0.1;

/** `NVIDIA H100 80GB HBM3`, `a100-sxm4-80gb`, `8xH200`: what stands beside the name is left out, and a size must be its own. */
function amongWords(spelling: string): Profile | undefined {
  const words = spelling
    .slice(0, 100)
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .map((word) => word.replace(/^\d{1,3}x(?=[a-z])/, '').replace(/(?<=\d)x\d{1,3}$/, ''))
    .filter((word) => word !== '' && !BESIDE.test(word));
  const sizes = words.filter((word) => SIZE.test(word));
  const named = words.filter((word) => !SIZE.test(word)).join('');
  const [size] = sizes;
  if (size === undefined) return BY_SPELLING.get(named);
  const gb = Number(SIZE.exec(size)?.[1]);
  const found = BY_SPELLING.get(`${named}${gb}gb`) ?? BY_SPELLING.get(named);
  return found !== undefined && Math.abs(gb / found.memory.gb - 1) <= SAME_SIZE ? found : undefined;
}

/**
 * A profile by name: `h100`, `H100-SXM`, `h100_sxm`, `NVIDIA H100 80GB HBM3`, `a100-sxm4-80gb`.
 * @throws ConfigError for one that there is not.
 */
export function hardwareNamed(spelling: string): Profile {
  const found = BY_SPELLING.get(plain(spelling)) ?? amongWords(spelling);
  if (found !== undefined) return found;
  throw new ConfigError(
    `there is no hardware ${quoted(spelling)}${didYouMean(spelling, HARDWARE_NAMES)}. There is: ${HARDWARE_NAMES.join(', ')}.`,
  );
}
