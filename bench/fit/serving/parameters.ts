/** The fitted figures of serving as one vector of logarithms, and back. */
import {
  FITTED,
  FRAMEWORK,
  type Fitted,
  type Framework,
  type FrameworkName,
} from '../../../src/planner/serving/framework.ts';

/** Frameworks that were measured, and all of them together. */
export const MEASURED = ['vllm', 'sglang', 'trtllm', 'typical'] as const satisfies readonly FrameworkName[];
export type Measured = (typeof MEASURED)[number];

const OF_ALL = Object.keys(FITTED) as readonly (keyof Fitted)[];
const OF_ONE = [
  'stepUs',
  'layerUs',
  'sequenceUs',
  'requestMs',
] as const satisfies readonly (keyof Framework)[];

/** One figure: of no framework or of one. */
interface Place {
  readonly name: string;
  readonly shipped: number;
}

export const PLACES: readonly Place[] = [
  ...OF_ALL.map((name) => ({ name, shipped: FITTED[name] })),
  ...MEASURED.flatMap((framework) =>
    OF_ONE.map((name) => ({ name: `${framework}.${name}`, shipped: FRAMEWORK[framework][name] })),
  ),
];

const placesOf = (typical: boolean): number[] =>
  PLACES.flatMap(({ name }, p) => (name.startsWith('typical.') === typical ? [p] : []));
/** Places that rows tell whose framework is named, and those that the same rows tell where it is not. */
export const NAMED: readonly number[] = placesOf(false);
export const TYPICAL: readonly number[] = placesOf(true);

export interface Figures {
  readonly fitted: Fitted;
  readonly framework: Readonly<Record<Measured, Framework>>;
}

/** Figures of logarithms in the order of `PLACES`. */
export function figuresOf(logs: readonly number[]): Figures {
  const value = new Map(PLACES.map(({ name }, i) => [name, Math.exp(logs[i] ?? NaN)]));
  const one = (name: string): number => value.get(name) ?? NaN;
  return {
    fitted: Object.fromEntries(OF_ALL.map((name) => [name, one(name)])) as unknown as Fitted,
    framework: Object.fromEntries(
      MEASURED.map((framework) => [
        framework,
        {
          ...FRAMEWORK[framework],
          ...Object.fromEntries(OF_ONE.map((name) => [name, one(`${framework}.${name}`)])),
        },
      ]),
    ) as unknown as Record<Measured, Framework>,
  };
}

/**
 * Where a fit begins, and what its weak prior is around: factors near 1, some us for a launch. What the measurements do not
 * tell apart, such as launches of a layer and of its mixture, stays near here.
 */
const PRIOR: Readonly<Record<string, number>> = {
  ...{
    attention: 1.1,
    dense: 0.9,
    denseBlackwell: 1,
    experts: 0.85,
    expertsOfFour: 1,
    widensGbPerS: 27,
    promptWidened: 1.2,
    reduce: 1.2,
    exchange: 1.4,
  },
  ...{
    reduceUs: 8,
    reduceMoreUs: 3,
    exchangeUs: 20,
    mixtureUs: 32,
    sharedUs: 5,
    latentUs: 18,
    linearUs: 18,
    blocksUs: 8,
  },
  ...{ blackwell: 0.8, prompt: 1, promptExperts: 2.5, promptBlackwell: 1.2, eager: 10 },
  ...{ stepUs: 300, layerUs: 35, sequenceUs: 5, requestMs: 20 },
  ...{ 'sglang.stepUs': 2000, 'sglang.sequenceUs': 20, 'sglang.requestMs': 100 },
  ...{ 'typical.stepUs': 550, 'typical.sequenceUs': 8, 'typical.requestMs': 40 },
};

/** Logarithms of the prior's middle. */
export const ORIGIN: readonly number[] = PLACES.map(({ name }) =>
  Math.log(PRIOR[name] ?? PRIOR[name.split('.').at(-1) ?? ''] ?? NaN),
);

export const SHIPPED: readonly number[] = PLACES.map(({ shipped }) => Math.log(shipped));
