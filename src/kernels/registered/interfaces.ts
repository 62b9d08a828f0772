/**
 * The families of kernels that a user may add a variant to, and what each gives its kernels: parameters and buffers by
 * name. A kernel declares those of them that it needs.
 */
import type { ParamType } from '../../gpu/kernel.ts';
import type { Access } from '../../gpu/shader/reflect.ts';
import { ROPE_INTERFACE, type RopeShape, ropeVariants } from '../attention/rope.ts';
import { ATTENTION_INTERFACE, type AttentionShape, attentionVariants } from '../attention/variants.ts';
import { GEMM_INTERFACE, type GemmShape, gemmVariants } from '../dense/gemm.ts';
import { RMS_NORM_INTERFACE, type RmsNormShape, rmsNormVariants } from '../dense/rms-norm.ts';
import { EXPERT_INTERFACE, type ExpertShape, expertVariants } from '../experts/experts.ts';
import { GATING_INTERFACE, type GatingShape, topkVariants } from '../routing/gating.ts';

export interface FamilyInterface {
  readonly params: Readonly<Record<string, ParamType>>;
  readonly buffers: Readonly<Record<string, Access>>;
  /** The family's own variants, whose names are taken. */
  readonly variants: readonly { readonly name: string }[];
}

export const FAMILIES = {
  matmul: { ...GEMM_INTERFACE, variants: gemmVariants },
  'gate-topk': { ...GATING_INTERFACE, variants: topkVariants },
  'rms-norm': { ...RMS_NORM_INTERFACE, variants: rmsNormVariants },
  rope: { ...ROPE_INTERFACE, variants: ropeVariants },
  attention: { ...ATTENTION_INTERFACE, variants: attentionVariants },
  moe: { ...EXPERT_INTERFACE, variants: [...expertVariants, { name: 'direct' }] },
} as const satisfies Record<string, FamilyInterface>;

/** A family that users may add variants to, by its name in `FAMILIES`. */
export type VariantFamily = keyof typeof FAMILIES;

/** What each family knows of a problem when it chooses and compiles a kernel. */
export interface FamilyShapes {
  readonly matmul: GemmShape;
  readonly 'gate-topk': GatingShape;
  readonly 'rms-norm': RmsNormShape;
  readonly rope: RopeShape;
  readonly attention: AttentionShape;
  readonly moe: ExpertShape;
}

/** All parameters of a family, also those that a kernel does not declare. */
export type FamilyParams<F extends VariantFamily> = {
  readonly [K in keyof (typeof FAMILIES)[F]['params']]: number;
};
