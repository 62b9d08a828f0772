/** The functions between the two matrices of an expert. */
import { ConfigError } from '../core/errors.ts';
import type { Activation } from '../model/config.ts';

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

export function silu(x: number): number {
  return x * sigmoid(x);
}

/** The tanh form: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). */
export function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

export function relu(x: number): number {
  return Number.isNaN(x) ? NaN : Math.max(0, x);
}

export interface SwigluOai {
  /** Steepness of the sigmoid. */
  readonly alpha?: number;
  /** Added to the clamped up value. */
  readonly beta?: number;
  /** The gate is clamped from above, up from both sides. */
  readonly limit?: number;
}

/** Where gpt-oss clamps gate and up. */
export const SWIGLU_LIMIT = 7;

/** The gated unit of gpt-oss: g = min(gate, limit); g sigmoid(alpha g) (clamp(up, -limit, limit) + beta). */
export function swigluOai(gate: number, up: number, options: SwigluOai = {}): number {
  const { alpha = 1.702, beta = 1, limit = SWIGLU_LIMIT } = options;
  const g = Math.min(gate, limit);
  return g * sigmoid(alpha * g) * (Math.min(Math.max(up, -limit), limit) + beta);
}

/**
 * Hidden value of an expert: act(gate) up, or act(gate) without `up`; `swiglu_oai` treats both in its own way.
 * @throws ConfigError for `swiglu_oai` without `up`.
 */
export function gated(activation: Activation, gate: number, up?: number, options?: SwigluOai): number {
  if (activation === 'swiglu_oai') {
    if (up === undefined) {
      throw new ConfigError(
        'swiglu_oai needs w3 beside w1: it is a gated unit. Give w3 or another activation.',
      );
    }
    return swigluOai(gate, up, options);
  }
  return activate(activation, gate) * (up ?? 1);
}

/** An activation of one argument. */
export function activate(activation: Exclude<Activation, 'swiglu_oai'>, x: number): number {
  switch (activation) {
    case 'silu':
      return silu(x);
    case 'gelu':
      return gelu(x);
    case 'relu':
      return relu(x);
    case 'identity':
      return x;
  }
}
