/** A place to drop files on, or to choose them by keyboard. A size cap comes first: nothing of a larger file is read. */
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { ConfigError, messageOf } from '../../core/errors.ts';
import { printable } from '../../core/text/printable.ts';
import { quoted } from '../../core/text/quoted.ts';
import { formatBytes } from '../../core/units.ts';
import { Message } from './basics.tsx';

export interface Given {
  /** Within the folder that was dropped, without its own name. */
  readonly path: string;
  readonly file: File;
}

export function Drop(props: {
  readonly label: string;
  /** Of one file. */
  readonly mostBytes: number;
  readonly folder?: boolean;
  readonly accept?: string;
  readonly take: (files: readonly Given[]) => void | Promise<void>;
  readonly children?: ComponentChildren;
}) {
  const fault = useSignal<string | undefined>(undefined);
  const over = useSignal(false);
  const take = async (files: readonly Given[]): Promise<void> => {
    try {
      const large = files.find(({ file }) => file.size > props.mostBytes);
      if (large) {
        const name = printable(large.file.name.slice(0, 80));
        fault.value = `${name} has ${formatBytes(large.file.size)}; at most ${formatBytes(props.mostBytes)} are read. Give a smaller one.`;
        return;
      }
      fault.value = undefined;
      if (files.length > 0) await props.take(files);
    } catch (error) {
      fault.value = messageOf(error);
    }
  };
  const onDrop = (event: DragEvent): void => {
    event.preventDefault();
    over.value = false;
    const items = [...(event.dataTransfer?.items ?? [])].flatMap((item) => item.webkitGetAsEntry() ?? []);
    void filesOf(items).then(take, (error: unknown) => (fault.value = messageOf(error)));
  };
  return (
    <div
      class={`drop ${over.value ? 'over' : ''}`}
      onDragOver={(event) => {
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={() => (over.value = false)}
      onDrop={onDrop}
    >
      <label class="field">
        <span>{props.label}</span>
        <input
          type="file"
          multiple
          accept={props.accept}
          {...(props.folder && { webkitdirectory: true })}
          onChange={({ currentTarget }) => {
            const files = [...(currentTarget.files ?? [])].map((file) => ({
              path: file.webkitRelativePath.split('/').slice(1).join('/') || file.name,
              file,
            }));
            currentTarget.value = '';
            void take(files);
          }}
        />
      </label>
      {props.children}
      {fault.value !== undefined && <Message kind="bad">{fault.value}</Message>}
    </div>
  );
}

/** Of a folder, all that lies in it. A guess. */
const MOST_FILES = 2000;

async function filesOf(entries: readonly FileSystemEntry[]): Promise<Given[]> {
  const found: Given[] = [];
  const walk = async (entry: FileSystemEntry, path: string): Promise<void> => {
    if (found.length >= MOST_FILES) {
      throw new ConfigError(
        `more than ${MOST_FILES} files were dropped. Drop the folder itself, not one above it.`,
      );
    }
    if (entry.isFile) {
      const file = await new Promise<File>((resolve, reject) =>
        (entry as FileSystemFileEntry).file(resolve, reject),
      );
      found.push({ path: path === '' ? entry.name : path, file });
      return;
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    for (;;) {
      const inner = await new Promise<FileSystemEntry[]>((resolve, reject) =>
        reader.readEntries(resolve, reject),
      );
      if (inner.length === 0) return;
      for (const one of inner) await walk(one, path === '' ? one.name : `${path}/${one.name}`);
    }
  };
  for (const entry of entries) await walk(entry, '');
  return found;
}

export const shownName = (name: string): string => quoted(name, 60);
