/**
 * A step in pieces. What a rank does by itself is recorded; a collective is recorded too where all ranks are on one
 * device, and otherwise is something to wait for, between two submits.
 */
import type { CommandList, SubmittedList } from '../gpu/command-list.ts';

/** Joins the list at hand. Decides nothing, waits for nothing. */
export interface Recorded {
  /** Where its time counts: 'experts'. That of the segment before it when absent. */
  readonly span?: string;
  /** What times are to carry in place of the span's name. */
  readonly tag?: unknown;
  record(commands: CommandList): void;
}

/** Runs when all before it has been submitted; what follows is recorded when it has ended. */
export interface Awaited {
  readonly span?: string;
  readonly tag?: unknown;
  run(): Promise<void>;
}

export type Segment = Recorded | Awaited;

export function local(span: string, record: (commands: CommandList) => void): Recorded {
  return { span, record };
}

/** Whose rows a dispatch of a span works on, where not all its ranks'. */
export interface SpanPart {
  /** Numbered within the stage. */
  readonly ranks: readonly number[];
}

/** What follows in the span is of these ranks, numbered within the stage. */
export function ofRanks(commands: CommandList, ...ranks: readonly number[]): void {
  commands.part({ ranks } satisfies SpanPart);
}

/** A collective's time counts as `span`. */
export function within<S extends Segment>(span: string, segment: S): S {
  return { ...segment, span };
}

/** For segments that are all recorded, as on one device. */
export function recordAll(commands: CommandList, segments: readonly Recorded[]): void {
  for (const segment of segments) segment.record(commands);
}

/** `work` on each of `items` in turn: at once as long as there is nothing to wait for. */
export function inTurn<T>(
  items: readonly T[],
  work: (item: T) => Promise<void> | undefined,
): Promise<void> | undefined {
  for (const [i, item] of items.entries()) {
    const pending = work(item);
    if (pending !== undefined) return pending.then(() => inTurn(items.slice(i + 1), work));
  }
  return undefined;
}

/**
 * Runs segments in their order. Neighbours that are recorded share a list: without a segment to wait for there is one
 * submit, which has happened when this returns.
 * @param open begins a list. @param submitted is given every list with its number of dispatches.
 * @returns what to wait for; undefined when there is nothing.
 */
export function runSegments(
  segments: readonly Segment[],
  open: () => CommandList,
  submitted: (list: SubmittedList, dispatches: number) => void,
): Promise<void> | undefined {
  let commands: CommandList | undefined;
  const submit = (): void => {
    if (commands !== undefined) submitted(commands.submit(), commands.dispatches);
    commands = undefined;
  };
  const fail = (error: unknown): never => {
    commands?.discard();
    throw error;
  };
  try {
    const pending = inTurn(segments, (segment) => {
      if ('run' in segment) {
        submit();
        return segment.run();
      }
      commands ??= open();
      const tag = segment.tag ?? segment.span;
      if (tag !== undefined) commands.span(tag);
      // Of all ranks until it says whose.
      commands.part(undefined);
      segment.record(commands);
      return undefined;
    });
    if (pending !== undefined) return pending.then(submit).catch(fail);
    submit();
    return undefined;
  } catch (error) {
    return fail(error);
  }
}
