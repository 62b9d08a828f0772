/** The small parts that routes are made of. */
import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Frame } from '../../plots/frame.ts';

/** A message in the page: what, the rule, the remedy. Text only. */
export function Message(props: {
  readonly kind: 'bad' | 'warn' | 'info';
  readonly children: ComponentChildren;
}) {
  const signs = { bad: '✗', warn: '⚠', info: 'ℹ' } as const;
  return (
    <div class={`message ${props.kind}`} role={props.kind === 'bad' ? 'alert' : 'status'}>
      <span aria-hidden="true">{signs[props.kind]}</span>
      <div>{props.children}</div>
    </div>
  );
}

/** A drawing that follows the width of its place. */
export function Plot(props: {
  readonly label: string;
  readonly draw: (frame: Frame) => SVGSVGElement;
  /** What it shows: it is drawn anew when this is another. */
  readonly of: unknown;
}) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const there = place.current;
    if (there === null) return undefined;
    let drawn = 0;
    const redraw = (): void => {
      const width = Math.floor(there.clientWidth);
      if (width === drawn || width === 0) return;
      drawn = width;
      there.replaceChildren(props.draw({ document, width, label: props.label }));
    };
    redraw();
    const observer = new ResizeObserver(redraw);
    observer.observe(there);
    return () => observer.disconnect();
  }, [props.of]);
  return <div class="drawing" ref={place} />;
}

export function Field(props: {
  readonly label: string;
  readonly hint?: string;
  readonly children: ComponentChildren;
}) {
  return (
    <label class="field">
      <span class="label">{props.label}</span>
      {props.children}
      {props.hint !== undefined && <span class="hint">{props.hint}</span>}
    </label>
  );
}

/** A number within bounds; what is beyond them is not taken. */
export function NumberField(props: {
  readonly label: string;
  readonly value: Signal<number>;
  readonly least: number;
  readonly most: number;
  readonly step?: number;
}) {
  const { label, value, least, most, step = 1 } = props;
  return (
    <Field label={label}>
      <input
        type="number"
        value={value.value}
        min={least}
        max={most}
        step={step}
        onInput={({ currentTarget }) => {
          const given = Number(currentTarget.value);
          if (currentTarget.value === '' || !(given >= least && given <= most)) return;
          value.value = step === 1 ? Math.round(given) : given;
        }}
      />
    </Field>
  );
}

/** Saves bytes as a file of the user's. */
export function saveFile(name: string, bytes: BlobPart, type: string): void {
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
