/** All rows, and how a user names some of them. */
import { ConfigError } from '../../src/core/errors.ts';
import type { PeerRow } from './row.ts';
import { attentionRows } from './rows/attention.ts';
import { gatingRows } from './rows/gating.ts';
import { gemmRows } from './rows/gemm.ts';
import { moeRows } from './rows/moe.ts';
import { pointwiseRows } from './rows/pointwise.ts';

export const peerRows: readonly PeerRow[] = [
  ...gemmRows,
  ...moeRows,
  ...gatingRows,
  ...attentionRows,
  ...pointwiseRows,
];

/**
 * 'gemm,moe/T=1' -> all of gemm, and those of moe whose name holds 'T=1', which 'T=16' does not.
 * @throws ConfigError for a word that names no row.
 */
export function chosenRows(words: string | undefined, rows = peerRows): readonly PeerRow[] {
  if (words === undefined) return rows;
  const wanted = words.split(',').map((word) => word.trim());
  for (const word of wanted) {
    if (rows.some((row) => fits(row, word))) continue;
    const names = rows.map((row) => `${row.group}/${row.name}`);
    throw new ConfigError(`--only "${word}" names no row. There are: ${names.join(', ')}.`);
  }
  return rows.filter((row) => wanted.some((word) => fits(row, word)));
}

function fits({ group, name }: PeerRow, word: string): boolean {
  const [wantedGroup, part = ''] = word.split('/');
  if (group !== wantedGroup) return false;
  const place = name.indexOf(part);
  return place >= 0 && !(/\d$/.test(part) && /^\d/.test(name.slice(place + part.length)));
}
