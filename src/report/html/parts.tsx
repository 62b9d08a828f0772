/** @jsxRuntime automatic @jsxImportSource preact */
/** The pieces that sections are made of. All text is escaped by the renderer. */
import type { ComponentChildren } from 'preact';
import type { Provenance } from '../../bench/result.ts';
import type { Frame } from '../../plots/frame.ts';

const SIGNS: Readonly<Record<Provenance, string>> = { measured: '●', modelled: '◇', assumed: '△' };

/** Where a number comes from, by sign and word. */
export function Badge({ source }: { readonly source: Provenance }) {
  return (
    <span class="badge">
      <span aria-hidden="true">{SIGNS[source]}</span> {source}
    </span>
  );
}

export function Section(props: {
  readonly id: string;
  readonly title: string;
  readonly source?: Provenance;
  readonly children: ComponentChildren;
}) {
  return (
    <section id={props.id} aria-labelledby={`${props.id}-title`}>
      <h2 id={`${props.id}-title`}>
        {props.title} {props.source && <Badge source={props.source} />}
      </h2>
      {props.children}
    </section>
  );
}

export interface Column {
  readonly head: ComponentChildren;
  readonly number?: boolean;
  /** Left out on a phone. */
  readonly spare?: boolean;
}

export interface Row {
  readonly cells: readonly ComponentChildren[];
}

/** A table that scrolls by itself, by keyboard too. The first cell of a row names it. */
export function Table(props: {
  readonly label: string;
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
}) {
  const classOf = (i: number): string =>
    [props.columns[i]?.number ? 'n' : '', props.columns[i]?.spare ? 'spare' : ''].filter(Boolean).join(' ');
  return (
    <div class="table" role="region" aria-label={props.label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {props.columns.map(({ head }, i) => (
              <th scope="col" class={classOf(i)}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {props.rows.map(({ cells }) => (
            <tr>
              {cells.map((cell, i) =>
                i === 0 ? <th scope="row">{cell}</th> : <td class={classOf(i)}>{cell}</td>,
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Facts({ facts }: { readonly facts: readonly (readonly [name: string, value: string])[] }) {
  return (
    <dl>
      {facts.map(([name, value]) => (
        <>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </>
      ))}
    </dl>
  );
}

/** CSS pixels of a drawing on a screen and on a phone. */
const WIDTHS = { wide: 760, narrow: 328 } as const;

/** The same drawing twice, each for the screen that has room for it. */
export function Drawing(props: {
  readonly document: Document;
  readonly label: string;
  readonly caption: string;
  readonly draw: (frame: Frame) => SVGSVGElement;
}) {
  const { document, label } = props;
  return (
    <figure>
      {(['wide', 'narrow'] as const).map((size) => (
        <div
          class={size}
          dangerouslySetInnerHTML={{ __html: props.draw({ document, label, width: WIDTHS[size] }).outerHTML }}
        />
      ))}
      <figcaption>{props.caption}</figcaption>
    </figure>
  );
}

/** A share of 1 as a bar, which repeats a number that stands beside it. */
export function Bar({ share }: { readonly share: number }) {
  const width = (100 * Math.min(1, Math.max(0, share))).toFixed(1);
  return (
    <svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
      <rect class="fill" width={width} height="10" />
    </svg>
  );
}
