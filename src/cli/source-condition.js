// A hook for Node's loader: in a checkout the package's own name means its source, so that an example or a user's module
// that imports 'moebius/kernels' gets the very modules that run.
export function resolve(specifier, context, next) {
  return next(specifier, { ...context, conditions: ['moebius-source', ...context.conditions] });
}
