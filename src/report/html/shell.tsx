/** @jsxRuntime automatic @jsxImportSource preact */
/** What all pages have in common: no script, nothing from elsewhere, their data inside as JSON. */
import type { ComponentChildren } from 'preact';
import { render } from 'preact-render-to-string';
import { printable, printableJson } from '../../core/text/printable.ts';
import { STYLE } from './style.ts';

export interface Shell {
  readonly title: string;
  readonly heading: string;
  /** Those that are shown. */
  readonly sections: readonly (readonly [id: string, title: string])[];
  readonly main: ComponentChildren;
  readonly footer: ComponentChildren;
  /** What the page was made of, and the id of the element that holds it. */
  readonly data: { readonly id: string; readonly value: unknown };
}

/** HTML of the whole page. Texts are to be printable: see `escaped`. */
export async function renderShell({ title, heading, sections, main, footer, data }: Shell): Promise<string> {
  const head = (
    <head>
      <meta charset="utf-8" />
      <meta http-equiv="Content-Security-Policy" content={await policy(STYLE)} />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="referrer" content="no-referrer" />
      <title>{title}</title>
      <link rel="icon" href="data:," />
      <style dangerouslySetInnerHTML={{ __html: STYLE }} />
    </head>
  );
  const body = (
    <body>
      <a class="skip" href="#main">
        Skip to the verdict
      </a>
      <header>
        <h1>{heading}</h1>
        <nav aria-label="Sections">
          <ul>
            {sections.map(([id, text]) => (
              <li>
                <a href={`#${id}`}>{text}</a>
              </li>
            ))}
          </ul>
        </nav>
      </header>
      <main id="main">{main}</main>
      <footer>
        {footer}
        <script
          type="application/json"
          id={data.id}
          dangerouslySetInnerHTML={{ __html: jsonForPage(data.value) }}
        />
      </footer>
    </body>
  );
  return `<!doctype html>\n<html lang="en">${render(head)}${render(body)}</html>\n`;
}

/** Nothing runs, nothing is fetched, and no style but ours applies. */
async function policy(style: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(style));
  const hash = btoa(Array.from(new Uint8Array(digest), (byte) => String.fromCharCode(byte)).join(''));
  return `default-src 'none'; script-src 'none'; style-src 'sha256-${hash}'; img-src data:; base-uri 'none'; form-action 'none'`;
}

/** JSON that no text inside of it can end: the same value to whoever parses it, but for windows of samples, which are many. */
function jsonForPage(value: unknown): string {
  return printableJson(
    JSON.stringify(value, (key, part: unknown) => (key === 'windowsNs' ? undefined : part)),
  ).replace(/[<>&]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

/** The same with every text printable: what turns the direction of writing would turn the page's own words. */
export function escaped<T>(value: T): T {
  if (typeof value === 'string') return printable(value) as T;
  if (Array.isArray(value)) return value.map(escaped) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [printable(key), escaped(part)])) as T;
}
