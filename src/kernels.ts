/**
 * The public API for those who write kernels of their own: what a kernel is, the variants of each family, and the calls
 * that compile and record them. It is the same in Node and in a page.
 */

/// <reference types="@webgpu/types" preserve="true" />

// What a kernel is.
export {
  defineKernel,
  type Grid,
  type KernelDefinition,
  type ParamType,
  type SpecChange,
} from './gpu/kernel.ts';
export type { Kernel } from './gpu/context.ts';
export type { Access } from './gpu/shader/reflect.ts';
export type { Spec } from './gpu/shader/specialise.ts';
export { CommandList, type Buffers, type Params } from './gpu/command-list.ts';
export { GpuBuffer, type Bindable, type BufferView } from './gpu/buffer.ts';

// Variants: several kernels with one result, and the choice between them.
export {
  chooseVariant,
  powerOfTwo,
  preferring,
  spread,
  spreadPerRank,
  type Variant,
} from './kernels/variants.ts';

// Variants of one's own.
export { defineVariant, type OwnVariant } from './kernels/registered/own-variant.ts';
export { registerVariant } from './kernels/registered/register.ts';
export type { FamilyParams, FamilyShapes, VariantFamily } from './kernels/registered/interfaces.ts';

// The families.
export { gemmVariants, prepareGemm, type Gemm, type GemmShape } from './kernels/dense/gemm.ts';
export {
  prepareRmsNorm,
  rmsNormVariants,
  type RmsNorm,
  type RmsNormShape,
} from './kernels/dense/rms-norm.ts';
export { prepareRope, ropeTable, ropeVariants, type Rope, type RopeShape } from './kernels/attention/rope.ts';
export { prepareAttention, type Attention } from './kernels/attention/attention.ts';
export {
  attentionVariants,
  type AttentionShape,
  type AttentionVariant,
} from './kernels/attention/variants.ts';
export {
  prepareTopk,
  topkVariants,
  type Gating,
  type GatingShape,
  type GatingTensors,
} from './kernels/routing/gating.ts';
export {
  prepareRouter,
  type Router,
  type RouterShape,
  type RouterTensors,
} from './kernels/routing/router.ts';
export {
  expertVariants,
  prepareExpertGemm,
  type ExpertGemm,
  type ExpertShape,
} from './kernels/experts/experts.ts';
export { prepareDirectExperts, type DirectExperts, type DirectTensors } from './kernels/experts/direct.ts';
export {
  prepareProducts,
  type ExpertProducts,
  type ExpertWeights,
  type ProductTensors,
  type RoutedShape,
} from './kernels/experts/products.ts';
export type { Tiling } from './kernels/routing/tiling.ts';

// Weights on the device.
export { uploadWeight, weightDtypeOf, type HostWeight, type WeightDtype } from './kernels/weights.ts';
