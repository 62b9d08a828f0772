/** The bench that is shown: filled in while it runs, kept by the browser, and whole when its result has come. */
import { batch, computed, signal, type Signal } from '@preact/signals';
import { messageOf } from '../../core/errors.ts';
import { readResult } from '../../report/file/result-file.ts';
import type { StoredBenchResult } from '../../report/file/schema.ts';
import type { Job } from '../protocol/jobs.ts';
import type { CaseRun, LiveRow, Progress, Tile } from '../protocol/reports.ts';
import { keep, keepResult, readKept, type Kept } from './kept.ts';
import { adapter, onEnd, onProgress, trouble, type Run } from './session.ts';

export interface FamilyRow {
  readonly family: string;
  readonly runs: number;
  readonly failed: number;
  readonly worstShare: number;
  /** The case and variant of the largest error. */
  readonly worst: string;
}

export interface Shown {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly result: StoredBenchResult;
  /** Of the file. */
  readonly name: string;
}

export const tiles = signal<readonly Tile[]>([]);
/** A signal for each row: a row that changes draws itself alone. */
export const rows = signal<readonly Signal<LiveRow>[]>([]);
export const families = signal<readonly FamilyRow[]>([]);
export const failures = signal<readonly CaseRun[]>([]);
export const shown = signal<Shown | undefined>(undefined);
/** What is seen is of an earlier visit. */
export const note = signal('');
export const isEmpty = computed(
  () => families.value.length === 0 && rows.value.length === 0 && tiles.value.length === 0,
);

const byKey = new Map<string, Signal<LiveRow>>();
const keyOf = ({ family, name, variant }: LiveRow): string => JSON.stringify([family, name, variant]);
const SAVE_MS = 2000;
let savedMs = 0;

const showsBench = ({ kind }: Job): boolean => kind === 'bench' || kind === 'own';

/** Before a run: what was shown goes. */
export function clearBench(): void {
  byKey.clear();
  batch(() => {
    tiles.value = [];
    rows.value = [];
    families.value = [];
    failures.value = [];
    shown.value = undefined;
    note.value = '';
  });
}

/** The largest error, the runs and the failures of each family. */
export function withCases(known: readonly FamilyRow[], cases: readonly CaseRun[]): FamilyRow[] {
  const found = new Map(known.map((row) => [row.family, row]));
  for (const { family, name, variant, pass, worstShare } of cases) {
    const old = found.get(family) ?? { family, runs: 0, failed: 0, worstShare: 0, worst: '' };
    const isWorst = worstShare > old.worstShare || old.worst === '';
    found.set(family, {
      ...{ family, runs: old.runs + 1, failed: old.failed + (pass ? 0 : 1) },
      worstShare: isWorst ? worstShare : old.worstShare,
      worst: isWorst ? `${name}${variant === 'default' ? '' : ` (${variant})`}` : old.worst,
    });
  }
  return [...found.values()];
}

onProgress((progress: Progress, { job }: Run) => {
  if (!showsBench(job)) return;
  const { cases, rows: changed, tiles: told } = progress;
  if (told) tiles.value = told;
  if (cases) {
    families.value = withCases(families.value, cases);
    const wrong = cases.filter(({ pass }) => !pass);
    if (wrong.length > 0) failures.value = [...failures.value, ...wrong];
  }
  const fresh: Signal<LiveRow>[] = [];
  for (const row of changed ?? []) {
    const there = byKey.get(keyOf(row));
    if (there) there.value = row;
    else {
      const added = signal(row);
      byKey.set(keyOf(row), added);
      fresh.push(added);
    }
  }
  if (fresh.length > 0) rows.value = [...rows.value, ...fresh];
  if (performance.now() - savedMs > SAVE_MS) save('running');
});

onEnd((run) => {
  if (!showsBench(run.job)) return;
  const { outcome } = run;
  const file = outcome?.kind === 'bench' || outcome?.kind === 'own' ? outcome.file : undefined;
  if (file) {
    show(file);
    if (shown.value) void keepResult(shown.value);
  }
  save(run.state);
});

function show(bytes: Uint8Array<ArrayBuffer>): void {
  try {
    const result = readResult(bytes, 'this run');
    const { facts } = result.adapter;
    const stamp = result.date.replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
    const adapterName = (facts.name.toLowerCase().match(/[a-z0-9]+/g) ?? ['adapter']).slice(0, 3).join('-');
    shown.value = { bytes, result, name: `${stamp}-chrome-${adapterName}.json` };
  } catch (error) {
    trouble.value = messageOf(error);
  }
}

function save(state: string): void {
  savedMs = performance.now();
  const open = adapter.value;
  const kept: Kept = {
    ...{ date: new Date().toISOString(), state, note: '' },
    adapter: open.state === 'open' ? open.found.facts.name : 'unknown',
    ...{ tiles: [...tiles.value], rows: rows.value.map((row) => row.value) },
    ...{ families: [...families.value], failures: [...failures.value] },
    ...(shown.value && { file: shown.value.bytes }),
  };
  void keep(kept);
}

/** What an earlier visit has left, unless something is shown by now. */
export async function restore(): Promise<void> {
  const kept = await readKept();
  if (kept === undefined || !isEmpty.value) return;
  batch(() => {
    clearBench();
    tiles.value = kept.tiles;
    families.value = kept.families;
    failures.value = kept.failures;
    rows.value = kept.rows.map((row) => {
      const added = signal(row);
      byKey.set(keyOf(row), added);
      return added;
    });
    const end = kept.state === 'done' ? '' : '; it did not come to its end, finished rows are kept';
    note.value = `Of ${kept.date.slice(0, 16).replace('T', ' ')} UTC on ${kept.adapter}${end}.`;
    if (kept.file) show(kept.file);
  });
}
