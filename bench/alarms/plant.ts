/** A slowdown that is known: of every so many dispatches of one kernel, one is recorded twice. */
import { CommandList } from '../../src/gpu/command-list.ts';
import type { KernelDefinition } from '../../src/gpu/kernel.ts';

type Dispatch = CommandList['dispatch'];

/**
 * From here on, and until the function that is returned is called. Results do not change, since a dispatch that reads
 * what it does not write gives the same again.
 * @param shader part of its path. @param every 10 makes the kernel take 10 % longer, in windows of 10 runs and more.
 */
export function plantSlowdown(shader: string, every: number): () => void {
  const plain = Object.getOwnPropertyDescriptor(CommandList.prototype, 'dispatch')?.value as Dispatch;
  let count = 0;
  CommandList.prototype.dispatch = function <D extends KernelDefinition>(
    this: CommandList,
    ...args: Parameters<typeof plain<D>>
  ): void {
    plain.apply(this, args as Parameters<Dispatch>);
    if (!args[0].definition.shader.includes(shader)) return;
    count += 1;
    if (count % every === 0) plain.apply(this, args as Parameters<Dispatch>);
  };
  return () => {
    CommandList.prototype.dispatch = plain;
  };
}
