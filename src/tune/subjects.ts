/** The shapes that `moebius tune` measures when none are given: those of the reference deployment, few rows and many. */
import * as v from 'valibot';
import type { Gpu } from '../gpu/gpu.ts';
import { ConfigError } from '../core/errors.ts';
import { parseFields } from '../model/fields.ts';
import { parseStrictJson } from '../model/safetensors/strict-json.ts';
import { checkSubject, SubjectFile, type Subject } from '../validate/draw/subject.ts';

const HEADS = { Hq: 8, Hkv: 8, Dh: 64 } as const;

/**
 * What matters most first: the experts and attention, where a model spends its time. Small before large: when time is
 * short, many small ones serve more than one large one.
 */
export function defaultSubjects(gpu: Gpu): Subject[] {
  const onGpu = gpu.facts.kind === 'gpu';
  const gemm = (M: number, N: number, K: number, b = 'f32'): Subject => ({
    ...{ op: 'matmul', dims: { M, N, K } },
    ...(b !== 'f32' && { dtypes: { b } }),
  });
  const layer = (T: number, E: number, D: number, F: number, k: number, w = 'f32'): Subject => ({
    ...{ op: 'moe', dims: { T, E, D, F }, attrs: { k }, with: ['logits', 'w3'] },
    ...(w !== 'f32' && { dtypes: { w1: w, w2: w, w3: w } }),
  });
  const router = (T: number, E: number, k: number): Subject => ({
    ...{ op: 'moe', dims: { T, E, D: 1024, F: 32 }, attrs: { k }, with: ['gate'] },
  });
  const topk = (T: number, E: number, k: number): Subject => ({
    op: 'gate-topk',
    dims: { T, E },
    attrs: { k },
  });
  const attend = (B: number, Sq: number, Skv: number): Subject => ({
    op: 'attention',
    dims: { B, Sq, Skv, ...HEADS },
  });
  const many = onGpu ? 8 : 1;
  return [
    // Few tokens, which may go without a plan.
    ...[1, 2, 4, 8].map((tokens) => layer(tokens, 16, 128, 96, 2)),
    ...[16, 128].map((tokens) => layer(tokens * many, 16, 128, 96, 2)),
    ...[1, 8, 64].map((rows) => layer(rows * many, 1, 1024, 2048, 1)),
    ...[1, 8, 64].map((rows) => layer(rows * many, 1, 1024, 2048, 1, 'int4')),
    ...[attend(1, 128, 128), attend(1, 512, 512)],
    ...[attend(1, 1, 256), attend(1, 1, 2048), attend(16, 1, 256)],
    ...[1, 8, 32, 128, 512].map((rows) => gemm(rows * many, 1024, 1024)),
    ...[1, 8, 32, 128, 512].map((rows) => gemm(rows * many, 1024, 1024, 'f16')),
    ...[1, 8, 32, 128, 512].map((rows) => gemm(rows * many, 1024, 1024, 'int4')),
    ...[1, 32, 512].map((rows) => gemm(rows * many, 1024, 1024, 'int8')),
    ...[topk(4096, 16, 2), topk(4096, 64, 2), topk(4096, 64, 8), topk(4096, 256, 8)],
    ...[router(1, 16, 2), router(16, 16, 2), router(128 * many, 16, 2), router(128 * many, 64, 8)],
    // The largest last: they take the longest to check.
    ...[gemm(512, 4096, 1024), gemm(2048, 2048, 1024)],
  ];
}

const SubjectList = v.pipe(v.array(SubjectFile), v.minLength(1));
const FORM = 'Write a list of shapes: [{"op": "matmul", "dims": {"M": 512, "N": 1024, "K": 1024}}, ...].';

/** @throws ConfigError for a file that is no list of shapes that ops have; the message names the first wrong one. */
export function readSubjects(bytes: Uint8Array, label: string): Subject[] {
  const subjects = parseFields(
    SubjectList,
    parseStrictJson(bytes, label),
    `${label} is no list of shapes`,
    FORM,
  );
  subjects.forEach((subject, i) => {
    try {
      checkSubject(subject);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      throw new ConfigError(`${label}, shape ${i}: ${error.message}`);
    }
  });
  return subjects;
}
