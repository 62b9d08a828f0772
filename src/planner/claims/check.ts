/** A statement as a formula: what it needs, and what comes out under each way to read it. */

export type Values = Readonly<Record<string, number>>;

/** What a formula needs by name. */
export interface Input {
  readonly unit: string;
  readonly tells: string;
  /** Taken when nobody gives it, and then told as assumed. */
  readonly assumed?: number;
  /** Whole numbers only. */
  readonly whole?: boolean;
  /** Where the solver looks for it, and in which direction the result moves is its own business. */
  readonly range?: readonly [least: number, most: number];
}

/** The result under one reading of the statement. */
export interface Reading {
  /** 'EP is folded over the attention ranks'; '' where there is one way only. */
  readonly condition: string;
  readonly value: number;
}

/** A number beside the result that explains it. */
export interface Beside {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

export interface Check {
  readonly tells: string;
  readonly unit: string;
  readonly inputs: Readonly<Record<string, Input>>;
  readonly readings: (x: Values) => readonly Reading[];
  readonly beside?: (x: Values) => readonly Beside[];
  /** The formula in words, with its source where it has one. */
  readonly formula: string;
}

export const count = (tells: string, assumed?: number): Input => ({
  unit: '',
  tells,
  whole: true,
  range: [1, 65536],
  ...(assumed !== undefined && { assumed }),
});

export const amount = (
  unit: string,
  tells: string,
  range: readonly [number, number],
  assumed?: number,
): Input => ({ unit, tells, range, ...(assumed !== undefined && { assumed }) });

export const one = (value: number): Reading[] => [{ condition: '', value }];
