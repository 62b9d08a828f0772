/** A config.json that a family reads: every field that is asked for is checked, and what is not supported is named. */
import * as v from 'valibot';
import type { Activation } from '../../core/activation.ts';
import { ConfigError } from '../../core/errors.ts';
import { quoted } from '../../core/text/quoted.ts';
import { parseFields } from '../fields.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));

/** Their names for activations that we have. Their `gelu` is the exact form, ours the tanh form, so it is absent. */
const ACTIVATIONS: ReadonlyMap<string, Activation> = new Map([
  ['silu', 'silu'],
  ['swish', 'silu'],
  ['gelu_pytorch_tanh', 'gelu'],
  ['gelu_new', 'gelu'],
  ['relu', 'relu'],
  ['linear', 'identity'],
]);

/** Lists by layer are refused beyond it: no model has as many. */
const MOST_LISTED_LAYERS = 4096;

/** The fields of a config.json, read by name. */
export class ConfigFile {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #label: string;
  readonly #form: string;
  readonly #supported: string;

  /** @param form what the file must be, as a sentence. @param supported what runs, as a sentence for whoever asks for more. */
  constructor(fields: Readonly<Record<string, unknown>>, label: string, form: string, supported = '') {
    this.#fields = fields;
    this.#label = label;
    this.#form = form;
    this.#supported = supported;
  }

  get label(): string {
    return this.#label;
  }

  /** The field as it stands; undefined where it is null. */
  any(key: string): unknown {
    const value = Object.hasOwn(this.#fields, key) ? this.#fields[key] : undefined;
    return value ?? undefined;
  }

  has(key: string): boolean {
    return this.any(key) !== undefined;
  }

  #read<S extends v.GenericSchema>(key: string, schema: S): v.InferOutput<S> {
    const object = v.object({ [key]: schema });
    const parsed: Readonly<Record<string, unknown>> = parseFields(
      object,
      { [key]: this.any(key) },
      this.#label,
      this.#form,
    );
    return parsed[key];
  }

  /** A whole number from 1. @throws ConfigError as all of these, for a field that is missing or of another kind. */
  count(key: string): number {
    return this.#read(key, count);
  }

  /** The same where several names stand for one thing: the first that is there, else the first of all is missing. */
  countOf(key: string, ...others: readonly string[]): number {
    return this.count([key, ...others].find((name) => this.has(name)) ?? key);
  }

  countOr<T>(key: string, otherwise: T): number | T {
    return this.has(key) ? this.count(key) : otherwise;
  }

  /** A whole number from 0, `otherwise` when it is not there. */
  naturalOr(key: string, otherwise: number): number {
    return this.has(key) ? this.#read(key, natural) : otherwise;
  }

  positive(key: string): number {
    return this.#read(key, positive);
  }

  positiveOr<T>(key: string, otherwise: T): number | T {
    return this.has(key) ? this.positive(key) : otherwise;
  }

  flag(key: string, otherwise: boolean): boolean {
    return this.has(key) ? this.#read(key, v.boolean()) : otherwise;
  }

  /** Whole numbers from 0. */
  naturals(key: string): readonly number[] {
    return this.has(key) ? this.#read(key, v.array(natural)) : [];
  }

  texts(key: string): readonly string[] | undefined {
    return this.has(key) ? this.#read(key, v.array(v.string())) : undefined;
  }

  record(key: string): ConfigFile | undefined {
    if (!this.has(key)) return undefined;
    const value = this.#read(key, v.record(v.string(), v.unknown()));
    return new ConfigFile(value, `${this.#label}, ${key}`, this.#form, this.#supported);
  }

  activation(): Activation {
    const name = this.#read('hidden_act', v.string());
    return (
      ACTIVATIONS.get(name) ?? this.refuse('hidden_act', `Supported: ${[...ACTIVATIONS.keys()].join(', ')}.`)
    );
  }

  /** @throws ConfigError that names the field, its value and what to do. */
  refuse(key: string, remedy: string): never {
    throw new ConfigError(
      `${this.#label} sets ${key} to ${quoted(this.any(key))}, which is not supported. ${remedy}${this.#supported}`,
    );
  }

  /** Refuses a field that is there with another value than those that change nothing. */
  only(key: string, inert: readonly unknown[], remedy: string): void {
    const value = this.any(key);
    if (value !== undefined && !inert.includes(value)) this.refuse(key, remedy);
  }

  /** @throws ConfigError for more layers than a list by layer may have. */
  fewLayers(numLayers: number): void {
    if (numLayers <= MOST_LISTED_LAYERS) return;
    throw new ConfigError(
      `${this.#label} sets num_hidden_layers to ${numLayers}; at most ${MOST_LISTED_LAYERS} are supported. Correct it.`,
    );
  }
}
