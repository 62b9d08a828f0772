/**
 * The bits of WebGPU's flags, as the specification numbers them. In Node the constants' own objects are no globals, and
 * this project makes none.
 */

export const BUFFER_USAGE = {
  MAP_READ: 0x1,
  MAP_WRITE: 0x2,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  UNIFORM: 0x40,
  STORAGE: 0x80,
  INDIRECT: 0x100,
  QUERY_RESOLVE: 0x200,
} as const;

export const MAP_MODE = { READ: 0x1, WRITE: 0x2 } as const;

export const SHADER_STAGE = { COMPUTE: 0x4 } as const;
