/**
 * The experts of ranks that own all of them: nobody to send to, so rows are read where the router found them. Few tokens
 * may go without a plan; the sizes of many are known to the GPU only, as with an all-to-all.
 */
import { local, type Recorded } from '../collectives/segments.ts';
import { ConfigError, invariant } from '../core/errors.ts';
import { ceilDiv, range } from '../core/math.ts';
import { GRID_WORDS, planScratchWords, TILE_WORDS } from '../core/plan-sizes.ts';
import type { Bindable } from '../gpu/buffer.ts';
import type { CommandList } from '../gpu/command-list.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { prepareDirectExperts } from '../kernels/experts/direct.ts';
import { expertVariants } from '../kernels/experts/experts.ts';
import { choosePath, directRefusal, mostDirectTokens } from '../kernels/experts/path.ts';
import {
  ableProducts,
  type ExpertProducts,
  type ExpertWeights,
  prepareProducts,
  type RoutedShape,
} from '../kernels/experts/products.ts';
import { prepareLocalPlan } from '../kernels/routing/local-plan.ts';
import { prepareCombine } from '../kernels/routing/rows.ts';
import { prepareSized, sizedFor } from '../kernels/sized.ts';
import type { ChoicePlaces, RoutedExperts, RoutedRows } from './routed-experts.ts';

/** The variant without a plan, beside those of the experts' products. */
export const DIRECT = 'direct';

/** What a user can ask for by name. */
export const localVariants = [
  ...expertVariants,
  { name: DIRECT, idea: 'no plan: a row per choice, joined by the down projection' },
];

/** Names of those that can run here. */
export function ableLocal(gpu: Gpu, shape: RoutedShape, numTokens: number): string[] {
  const direct = directRefusal({ ...shape, numTokens }) === undefined ? [DIRECT] : [];
  return [...ableProducts(gpu, shape), ...direct];
}

/** What lies between plan, products and combine. */
export interface PlannedScratch extends ChoicePlaces {
  /** u32 [E + 1] */
  readonly start: Bindable;
  readonly tiles: Bindable;
  readonly grid: Bindable;
  /** [T K, D] */
  readonly expertOut: Bindable;
}

/** The rows of one rank, its weights, and memory for what lies between. */
export interface LocalRows extends RoutedRows {
  readonly weights: ExpertWeights;
  /** [T K, F] */
  readonly hidden: Bindable;
  /** Of rows that go by a plan. */
  readonly planned?: PlannedScratch | undefined;
}

export interface LocalExperts extends RoutedExperts<readonly LocalRows[], Recorded> {
  /** 'direct', or the variant of the up projection; the one for the most rows where there are several. */
  readonly variant: string;
  /** Most rows of a tile; 1 where all go direct. */
  readonly tileRows: number;
  /** Makes room for at most so many tokens at once. @param make gives a buffer of so many words. */
  scratch(
    numTokens: number,
    make: (name: string, words: number) => Bindable,
  ): Pick<LocalRows, 'hidden' | 'planned'>;
}

/** The tokens that come at once: always so many (or fewer, which go the same way), or any number up to one. */
export type TokensAtOnce = { readonly always: number } | { readonly upTo: number };

/**
 * @param requested 'direct', or a variant of both products; by default the tuning's choice, or the family's own.
 * @throws ConfigError when the requested variant does not exist or cannot run, or a stack has 2^32 values.
 */
export async function prepareLocalExperts(
  gpu: Gpu,
  shape: RoutedShape,
  tokens: TokensAtOnce,
  requested?: string,
): Promise<LocalExperts> {
  const paths = pathsOf(gpu, shape, tokens, requested);
  const [direct, planned] = await Promise.all([
    paths.someDirect ? prepareDirectExperts(gpu, shape) : undefined,
    paths.somePlanned ? preparePlanned(gpu, shape, tokens, requested) : undefined,
  ]);
  const { topK, expertDim } = shape;
  /** Rows that take this path; nothing to record for it without any. */
  const taking = (work: readonly LocalRows[], goDirect: boolean): LocalRows[] =>
    work.filter(({ numTokens }) => numTokens > 0 && paths.goesDirect(numTokens) === goDirect);
  const segment = (
    span: string,
    rows: readonly LocalRows[],
    record: (commands: CommandList, own: LocalRows) => void,
  ): Recorded[] =>
    rows.length === 0 ? [] : [local(span, (commands) => rows.forEach((own) => record(commands, own)))];
  return {
    variant: planned?.variant ?? DIRECT,
    tileRows: planned?.tileRows ?? 1,
    scratch: (numTokens, make) => ({
      hidden: make('hidden', numTokens * topK * expertDim),
      planned: planned?.scratch(numTokens, make),
    }),
    dispatch: (work) =>
      segment('route', taking(work, false), (commands, own) => planned?.plan(commands, own)),
    experts: (work) => [
      ...segment('experts', taking(work, true), (commands, own) => {
        direct?.record(commands, own.numTokens, own);
      }),
      ...segment('experts', taking(work, false), (commands, own) => planned?.products(commands, own)),
    ],
    combine: (work) =>
      segment('combine', taking(work, false), (commands, own) => planned?.combine(commands, own)),
  };
}

interface Paths {
  readonly someDirect: boolean;
  readonly somePlanned: boolean;
  /** Whether so many tokens go without a plan. */
  goesDirect(numTokens: number): boolean;
}

function pathsOf(gpu: Gpu, shape: RoutedShape, tokens: TokensAtOnce, requested: string | undefined): Paths {
  const isDirect = (numTokens: number): boolean => choosePath(gpu, { ...shape, numTokens }) === DIRECT;
  if ('upTo' in tokens) {
    const direct = range(Math.min(tokens.upTo, mostDirectTokens(shape.topK))).map((i) => isDirect(i + 1));
    return {
      someDirect: direct.includes(true),
      somePlanned: tokens.upTo > direct.length || direct.includes(false),
      goesDirect: (numTokens) => direct[numTokens - 1] ?? false,
    };
  }
  const refusal = directRefusal({ ...shape, numTokens: tokens.always });
  if (requested === DIRECT && refusal !== undefined) {
    throw new ConfigError(`moe variant "${DIRECT}" cannot run here: ${refusal}. Leave the variant out.`);
  }
  const all = requested === DIRECT || (requested === undefined && isDirect(tokens.always));
  return { someDirect: all, somePlanned: !all, goesDirect: () => all };
}

interface Planned {
  readonly variant: string;
  readonly tileRows: number;
  scratch(numTokens: number, make: (name: string, words: number) => Bindable): PlannedScratch;
  plan(commands: CommandList, own: LocalRows): void;
  products(commands: CommandList, own: LocalRows): void;
  combine(commands: CommandList, own: LocalRows): void;
}

async function preparePlanned(
  gpu: Gpu,
  shape: RoutedShape,
  tokens: TokensAtOnce,
  requested: string | undefined,
): Promise<Planned> {
  const { numExperts, topK, modelDim, residual } = shape;
  const expecting = (rowsPerExpert: number): Promise<ExpertProducts> =>
    prepareProducts(gpu, shape, { rowsPerExpert, gather: true }, requested);
  const productsFor = async (): Promise<(numTokens: number) => ExpertProducts> => {
    if ('always' in tokens) {
      const only = await expecting((tokens.always * topK) / numExperts);
      return () => only;
    }
    const sized = await prepareSized(expecting);
    return (numTokens) => sizedFor(sized, ceilDiv(numTokens * topK, numExperts));
  };
  const [plan, productsOf, combine] = await Promise.all([
    prepareLocalPlan(gpu, shape),
    productsFor(),
    prepareCombine(gpu, { width: modelDim, topK, residual }),
  ]);
  const most = productsOf(Infinity);
  const scratchOf = ({ planned }: LocalRows): PlannedScratch => {
    invariant(planned !== undefined, () => 'rows that go by a plan were given no room for it');
    return planned;
  };
  return {
    variant: most.variant,
    tileRows: most.tileRows,
    scratch: (numTokens, make) => {
      const choices = numTokens * topK;
      return {
        start: make('start', numExperts + 1),
        slot: make('slot', choices),
        rowToken: make('row token', choices),
        planScratch: make('plan scratch', planScratchWords(choices, numExperts)),
        tiles: make('tiles', TILE_WORDS * most.tiling(choices).tileCapacity),
        grid: make('grids', GRID_WORDS),
        expertOut: make('expert out', choices * modelDim),
      };
    },
    plan: (commands, own) => {
      const { numTokens, ids } = own;
      const { planScratch: scratch, ...places } = scratchOf(own);
      const tiling = productsOf(numTokens).tiling(numTokens * topK);
      plan.record(commands, numTokens, tiling, { ids, scratch, ...places });
    },
    products: (commands, own) => {
      const { rowToken: rowSource, tiles, grid, expertOut: y } = scratchOf(own);
      const mostRows = own.numTokens * topK;
      productsOf(own.numTokens).record(commands, { ...own, rowSource, tiles, grid, y, mostRows });
    },
    combine: (commands, own) => {
      const { slot, expertOut } = scratchOf(own);
      const { numTokens, scores, residual: added, y } = own;
      combine.record(commands, numTokens, { expertOut, slot, scores, residual: added, y });
    },
  };
}
