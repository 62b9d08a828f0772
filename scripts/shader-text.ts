/** A shader for a page: without comments and indentation, line by line, so that a compiler's message still gives the place. */
export function withoutComments(wgsl: string): string {
  return wgsl.replace(/[ \t]*\/\/.*$/gm, '').replace(/^[ \t]+/gm, '');
}
