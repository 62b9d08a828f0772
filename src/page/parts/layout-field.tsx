/** The axes of a layout, checked while they are typed. */
import { useSignal, type Signal } from '@preact/signals';
import { messageOf } from '../../core/errors.ts';
import { CARD_LAYOUT, formatLayout, parseLayout, type LayoutSpec } from '../../layout/spec.ts';
import { place } from '../state/links.ts';

/** Layouts worth a look, all of which tiny-moe runs. */
const EXAMPLES = [
  formatLayout(CARD_LAYOUT),
  'ep=4,pp=2,tp=2,dp=2',
  'ep=8,pp=2,tp=4,dp=1',
  'ep=1,pp=1,tp=1,dp=1',
];

/** Of the address, else the card's. */
export function layoutOfPlace(): string {
  const { ep, pp, tp, dp } = place.value.query;
  if ([ep, pp, tp, dp].every((size) => size === undefined)) return formatLayout(CARD_LAYOUT);
  const sizeOf = (size: unknown): number => (typeof size === 'number' ? size : 1);
  return formatLayout({ ep: sizeOf(ep), pp: sizeOf(pp), tp: sizeOf(tp), dp: sizeOf(dp) });
}

/** For an address. Nothing of what is no layout, or of the default. */
export function axesOf(text: string): Partial<LayoutSpec> {
  try {
    const spec = parseLayout(text);
    return formatLayout(spec) === formatLayout(CARD_LAYOUT) ? {} : { ...spec };
  } catch {
    return {};
  }
}

export function LayoutField({ text, id }: { readonly text: Signal<string>; readonly id: string }) {
  const fault = useSignal<string | undefined>(undefined);
  const take = (value: string): void => {
    text.value = value;
    try {
      parseLayout(value);
      fault.value = undefined;
    } catch (error) {
      fault.value = messageOf(error);
    }
  };
  return (
    <label class="field">
      <span class="label">layout</span>
      <input
        list={`${id}-examples`}
        value={text.value}
        spellcheck={false}
        aria-invalid={fault.value !== undefined}
        aria-describedby={`${id}-fault`}
        onInput={({ currentTarget }) => take(currentTarget.value)}
      />
      <datalist id={`${id}-examples`}>
        {EXAMPLES.map((example) => (
          <option key={example} value={example} />
        ))}
      </datalist>
      <span id={`${id}-fault`} class="hint bad">
        {fault.value}
      </span>
    </label>
  );
}
