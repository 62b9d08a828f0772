/**
 * The shaders of a page, by their path below `shaders/`. From the source Vite puts them in; the build of the package
 * replaces this module by one that holds their texts, so that any bundler may serve it.
 */

const PREFIX = '../../../shaders/';

export const shaders: ReadonlyMap<string, string> = new Map(
  Object.entries(
    import.meta.glob<string>(['../../../shaders/**/*.wgsl', '!../../../shaders/lib/**'], {
      query: '?raw',
      import: 'default',
      eager: true,
    }),
  ).map(([path, source]) => [path.slice(PREFIX.length), source]),
);
