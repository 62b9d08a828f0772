/** A user's own hardware: a profile's figures by name, what is absent as of a profile that ships. */
import * as v from 'valibot';
import { requireKnown } from '../../core/given.ts';
import { hardwareNamed } from '../../hardware/profiles/named.ts';
import type { Profile } from '../../hardware/profiles/profile.ts';
import { parseFields } from '../../model/fields.ts';
import { parseStrictJson } from '../../model/safetensors/strict-json.ts';

const figure = v.pipe(v.number(), v.finite(), v.minValue(1e-6), v.maxValue(1e9));
const whole = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65536));
const text = v.pipe(v.string(), v.minLength(1), v.maxLength(200));
const TERMS = { bf16: figure, fp8: figure, fp4: figure, int8: figure } as const;

const PARTS = {
  peakTflops: v.partial(v.object(TERMS)),
  memory: v.partial(v.object({ gb: figure, gbPerS: figure })),
  node: v.partial(v.object({ gpus: whole, gbPerS: figure })),
  between: v.partial(v.object({ gbPerS: figure })),
  reached: v.object({
    compute: v.pipe(v.number(), v.minValue(0.01), v.maxValue(1)),
    memory: v.pipe(v.number(), v.minValue(0.01), v.maxValue(1)),
  }),
} as const;

const File = v.object({
  name: text,
  like: text,
  multiprocessors: v.optional(whole),
  watts: v.optional(figure),
  peakTflops: v.optional(PARTS.peakTflops),
  memory: v.optional(PARTS.memory),
  node: v.optional(PARTS.node),
  between: v.optional(PARTS.between),
  reached: v.optional(PARTS.reached),
});

/**
 * `{"name": "mine", "like": "h100_sxm", "memory": {"gb": 64}}`: all but these figures are of the profile that it is like,
 * whose kernels it runs.
 * @param label names the file in messages.
 * @throws ConfigError for an unknown key, with the nearest, and for a figure that is none.
 */
export function readHardware(bytes: Uint8Array, label: string): Profile {
  const value = parseStrictJson(bytes, label);
  known(value, Object.keys(File.entries), label);
  const parts = Object.entries(PARTS).map(([part, schema]) => [part, Object.keys(schema.entries)] as const);
  for (const [part, names] of parts)
    known((value as Record<string, unknown>)[part], names, `${label}, "${part}"`);
  const file = parseFields(File, value, label, 'It needs a name and "like", the hardware that it resembles.');
  const like = hardwareNamed(file.like);
  const { name, multiprocessors, watts, peakTflops, memory, node, between, reached } = file;
  const { mib, ...printed } = like.memory;
  return {
    ...like,
    ...{ name, title: name, spellings: [], own: true },
    multiprocessors: multiprocessors ?? like.multiprocessors,
    watts: watts ?? like.watts,
    peakTflops: { ...like.peakTflops, ...given(peakTflops) },
    // What programs see of another memory is not known.
    memory: { ...printed, ...given(memory), ...(memory?.gb === undefined && mib !== undefined && { mib }) },
    node: { ...like.node, ...given(node) },
    between: { ...like.between, ...given(between) },
    ...(reached && { reached }),
    source: `${label}, else as ${like.name}`,
  };
}

/** Without what is undefined. */
function given<T extends object>(part: T | undefined): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(part ?? {}).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

function known(value: unknown, names: readonly string[], label: string): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  requireKnown(value, names, label);
}
