/**
 * Where a shape stands among others of its family: settings that must be equal, and sizes between which times can be
 * interpolated. A setting that a family gets later separates shapes from the day it is there.
 */

export interface ShapeKey {
  readonly family: string;
  /** Settings in the order of their names: 'causal=true headDim=64'. */
  readonly kind: string;
  readonly sizes: Readonly<Record<string, number>>;
}

/** Fields of a family's shape that are sizes; every other one is a setting. */
const SIZES: Readonly<Record<string, readonly string[]>> = {
  matmul: ['numRows', 'numCols', 'depth'],
  moe: ['rowsPerExpert', 'numCols', 'depth'],
  'moe-path': ['numTokens', 'numExperts', 'modelDim', 'expertDim'],
  attention: ['numHeads', 'numKvHeads', 'queries', 'cacheLength', 'numSequences'],
  'gate-topk': ['numTokens', 'numExperts'],
  router: ['numTokens', 'numExperts', 'modelDim'],
};

/** Constants that change a result but not the work. */
const NO_MATTER = new Set([
  'scale',
  'clamp',
  'eps',
  'alpha',
  'beta',
  'limit',
  'routedScale',
  'scalingFactor',
]);

/** keyOf('matmul', {numRows: 8, numCols: 4, depth: 2, weightDtype: 'f16'}) has the kind 'weightDtype=f16'. */
export function keyOf(family: string, shape: object): ShapeKey {
  const fields = Object.entries(shape).filter(([name, value]) => !NO_MATTER.has(name) && value !== undefined);
  const sizeNames = SIZES[family] ?? fields.filter(([, value]) => isSize(value)).map(([name]) => name);
  const sizes: Record<string, number> = {};
  const settings: string[] = [];
  for (const [name, value] of fields) {
    if (sizeNames.includes(name) && typeof value === 'number') sizes[name] = value;
    else settings.push(`${name}=${settingText(value)}`);
  }
  return { family, kind: settings.sort().join(' '), sizes };
}

function isSize(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value > 0;
}

/** Of a number that is no integer only whether it is there: a soft cap costs the same at any height. */
function settingText(value: unknown): string {
  if (typeof value === 'number' && !Number.isInteger(value)) return 'set';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

export function sameKind(a: ShapeKey, b: ShapeKey): boolean {
  return a.family === b.family && a.kind === b.kind;
}

export function sameShape(a: ShapeKey, b: ShapeKey): boolean {
  return sameKind(a, b) && sizeNames(a, b).every((name) => a.sizes[name] === b.sizes[name]);
}

export function sizeNames(a: ShapeKey, b: ShapeKey): string[] {
  return [...new Set([...Object.keys(a.sizes), ...Object.keys(b.sizes)])];
}

/** 'gemm, numRows 8, numCols 4, depth 2 (weightDtype=f16)' */
export function keyText({ family, kind, sizes }: ShapeKey): string {
  const words = Object.entries(sizes).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`);
  return `${family}, ${words.join(', ')}${kind === '' ? '' : ` (${kind})`}`;
}
