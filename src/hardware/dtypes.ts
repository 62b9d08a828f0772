/** Number formats of kernels on real GPUs: how they are written down, and what they take to read and to multiply. */
import { ConfigError } from '../core/errors.ts';
import { didYouMean } from '../core/text/near-names.ts';
import { quoted } from '../core/text/quoted.ts';

/** The units of a GPU that multiply: each has a peak of its own. */
export type Multiplier = 'bf16' | 'fp8' | 'fp4' | 'int8';

/** A format of weights and of what they are multiplied with. */
export interface Dtype {
  /** As tables of measurements name it. */
  readonly name: string;
  /** Bits that an element of a weight takes in memory, its scales included. */
  readonly weightBits: number;
  /** Bits that an element of an activation takes as the kernel reads it. */
  readonly activationBits: number;
  readonly multiplier: Multiplier;
}

/** A scale of 8 bits for 32 elements (OCP microscaling), of 8 bits for 16 (NVFP4), of 32 bits for 128 x 128. */
const FORMATS: readonly (Dtype & { readonly spellings: readonly string[] })[] = [
  {
    name: 'bfloat16',
    weightBits: 16,
    activationBits: 16,
    multiplier: 'bf16',
    spellings: ['bf16', 'fp16', 'f16', 'float16', 'half'],
  },
  {
    name: 'fp8',
    weightBits: 8,
    activationBits: 8,
    multiplier: 'fp8',
    spellings: [
      ...[
        'f8',
        'float8',
        'e4m3',
        'fp8e4m3',
        'fp8e4m3fn',
        'float8e4m3',
        'float8e4m3fn',
        'fp8e5m2',
        'float8e5m2',
      ],
      ...['fp8static', 'fp8dynamic', 'fp8tensor', 'fp8pertensor', 'fp8ootb', 'w8a8fp8', 'fp8w8a8'],
    ],
  },
  {
    name: 'fp8_block',
    weightBits: 8,
    activationBits: 8.25,
    multiplier: 'fp8',
    spellings: [
      'fp8blockwise',
      'blockfp8',
      'blockwisefp8',
      'fp8128',
      'fp8block128',
      'fp8blockscale',
      'deepgemm',
      'mxfp8',
    ],
  },
  {
    name: 'nvfp4',
    weightBits: 4.5,
    activationBits: 4.5,
    multiplier: 'fp4',
    spellings: ['fp4', 'f4', 'fp4e2m1', 'w4a4', 'w4a4nvfp4', 'nvfp4w4a4'],
  },
  {
    name: 'w4a16_mxfp4',
    weightBits: 4.25,
    activationBits: 16,
    multiplier: 'bf16',
    spellings: [
      'mxfp4',
      'w4a16',
      'int4',
      'i4',
      'w4a16int4',
      'int4wo',
      'int4awq',
      'awq',
      'gptq',
      'mxfp4w4a16',
    ],
  },
  {
    name: 'w4a8_mxfp4_mxfp8',
    weightBits: 4.25,
    activationBits: 8.25,
    multiplier: 'fp8',
    spellings: ['w4a8', 'mxfp4mxfp8', 'w4afp8', 'w4a8mxfp4', 'w4a8mxfp4fp8'],
  },
  // Widened before they are multiplied.
  {
    name: 'int8_wo',
    weightBits: 8,
    activationBits: 16,
    multiplier: 'bf16',
    spellings: ['w8a16', 'int8weightonly'],
  },
  {
    name: 'int8',
    weightBits: 8,
    activationBits: 8,
    multiplier: 'int8',
    spellings: ['i8', 'w8a8', 'w8a8int8', 'sq', 'sqnoex', 'smoothquant', 'uint8'],
  },
];

const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]/g, '');

const BY_SPELLING = new Map(
  FORMATS.flatMap((format) => [format.name, ...format.spellings].map((name) => [plain(name), format])),
);

/** The format of this spelling, or undefined. */
export function formatNamed(spelling: string): Dtype | undefined {
  return BY_SPELLING.get(plain(spelling));
}

/** A format by any common spelling: `bf16`, `BFloat16`, `fp8-block`, `mxfp4`. @throws ConfigError for one that there is not. */
export function dtypeNamed(spelling: string): Dtype {
  const found = formatNamed(spelling);
  if (found !== undefined) return found;
  const names = FORMATS.map(({ name }) => name);
  throw new ConfigError(
    `there is no dtype ${quoted(spelling)}${didYouMean(spelling, names)}. There is: ${names.join(', ')}.`,
  );
}
