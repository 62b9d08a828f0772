/** What a case of a kernel that no op exposes is made of. */
import type { CommandList } from '../../gpu/command-list.ts';
import type { OpBuffers } from '../../ops/op-buffers.ts';
import type { Budget } from '../../tensor/compare.ts';
import type { Maker } from '../draw/maker.ts';

export interface InternalExpected {
  readonly values: ArrayLike<number>;
  readonly shape: readonly number[];
  /** Exact unless given. */
  readonly budget?: Budget;
}

/** Seeded inputs on the host: what they lead to, and how the device computes it. */
export interface Internal {
  readonly expected: Readonly<Record<string, InternalExpected>>;
  /** Uploads and compiles; outputs are the workspace's, by the names of `expected`. */
  prepare(space: OpBuffers): Promise<(commands: CommandList) => void>;
  /** Bytes that must move at least. */
  readonly bytes: number;
}

export type InternalCase = (make: Maker) => Internal;
