/**
 * Grids with workgroups that nobody needs, as the last ones of many rows that are spread over two dimensions, or those of
 * a batch's shorter sequences: kernels that such grids may be given must leave everything alone there.
 */
import type { CommandList } from '../../src/gpu/command-list.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import type { Grid } from '../../src/gpu/kernel.ts';

type Stretch = (grid: Grid) => Grid;

/** One workgroup more than x has at least, in two rows. */
const halfOf = (x: number): number => Math.ceil((x + 1) / 2);

/** By how a shader counts its workgroups. */
const STRETCHES: readonly (readonly [text: RegExp, stretch: Stretch])[] = [
  [/\b(\w+)\.y \* \w+\.x \+ \1\.x\b/, ([x, y, z]) => (y === 1 ? [halfOf(x), 2, z] : [x, y, z])],
  [/\bgroup\.z(?: % slabs\))? \* \w+\.x \+ group\.x\b/, ([x, y, z]) => [halfOf(x), y, 2 * z]],
  [/\bgroup\.z \* groups\.y \+ group\.y\b/, ([x, y, z]) => [x, halfOf(y), 2 * z]],
  [/\bparams\.firstQuery \+/, ([x, y, z]) => [2 * x, y, z]],
];

/** The grid with more workgroups than it needs, where the shader's text tells that it may be so. */
export function stretchedGrid(text: string, grid: Grid): Grid {
  const stretch = STRETCHES.find(([pattern]) => pattern.test(text))?.[1];
  return stretch === undefined || grid.includes(0) ? grid : stretch(grid);
}

/** Lists that the device makes from now on record stretched grids. */
export function stretchGrids(gpu: Gpu): void {
  const commands = gpu.commands.bind(gpu);
  gpu.commands = (...given): CommandList => {
    const list = commands(...given);
    const dispatch = list.dispatch.bind(list);
    list.dispatch = (kernel, params, buffers, grid = kernel.definition.grid(kernel.spec, params)): void => {
      const { shader, text = gpu.platform.shaderSource(shader) } = kernel.definition;
      dispatch(kernel, params, buffers, stretchedGrid(text, grid));
    };
    return list;
  };
}
