/** Segments that are recorded and awaited, and what becomes of a list that is never sent. */
import { describe, expect, test } from 'vitest';
import { runSegments, type Segment } from '../../src/collectives/segments.ts';
import type { CommandList, SubmittedList } from '../../src/gpu/command-list.ts';

/** Lists of our own, which note what happens to them. */
function lists() {
  const events: string[] = [];
  let count = 0;
  const open = (): CommandList => {
    const name = `list ${count++}`;
    const list = {
      ...{ dispatches: 1, span: () => undefined, part: () => undefined, name },
      submit: () => (events.push(`${name} submitted`), {}),
      discard: () => void events.push(`${name} discarded`),
    };
    return list as unknown as CommandList;
  };
  const submitted = (_list: SubmittedList, dispatches: number): void =>
    void events.push(`sent ${dispatches}`);
  const record = (what: string): Segment => ({ record: () => void events.push(what) });
  const wait = (what: string): Segment => ({ run: () => Promise.resolve(void events.push(what)) });
  const fails: Segment = {
    record: () => {
      throw new Error('no room');
    },
  };
  return { events, open, submitted, record, wait, fails };
}

describe('segments', () => {
  test('without one to wait for are one list, sent at once', () => {
    const { events, open, submitted, record } = lists();
    expect(runSegments([record('a'), record('b')], open, submitted)).toBeUndefined();
    expect(events).toEqual(['a', 'b', 'list 0 submitted', 'sent 1']);
  });

  test('are two lists around one that is awaited', async () => {
    const { events, open, submitted, record, wait } = lists();
    await runSegments([record('a'), wait('w'), record('b')], open, submitted);
    expect(events).toEqual(['a', 'list 0 submitted', 'sent 1', 'w', 'b', 'list 1 submitted', 'sent 1']);
  });

  test('that fail leave no list behind, recorded at once or after a wait', async () => {
    const one = lists();
    expect(() => runSegments([one.record('a'), one.fails], one.open, one.submitted)).toThrow('no room');
    expect(one.events).toEqual(['a', 'list 0 discarded']);
    const two = lists();
    const run = runSegments([two.wait('w'), two.record('a'), two.fails], two.open, two.submitted);
    await expect(run).rejects.toThrow('no room');
    expect(two.events).toEqual(['w', 'a', 'list 0 discarded']);
  });
});
