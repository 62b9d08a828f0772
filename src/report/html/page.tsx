/** @jsxRuntime automatic @jsxImportSource preact */
/** A result as one page: no script, nothing from elsewhere, its data inside. */
import { render } from 'preact-render-to-string';
import type { Comparison } from '../../compare/compare.ts';
import { printable, printableJson } from '../../core/printable.ts';
import type { StoredBenchResult } from '../file/schema.ts';
import { Checks, Method } from './checks.tsx';
import { Experts, Memory, Pipeline } from './cluster.tsx';
import { Compared } from './comparison.tsx';
import { LookHere, ThisRun, Verdict } from './first-screen.tsx';
import { Pass, Stages } from './forward.tsx';
import { Growth } from './growth.tsx';
import { Kernels } from './kernels.tsx';
import { Roofline } from './roofline.tsx';
import { STYLE } from './style.ts';

export interface Report {
  readonly result: StoredBenchResult;
  /** The name of its file. */
  readonly label: string;
  readonly comparison?: {
    readonly found: Comparison;
    readonly labels: { readonly a: readonly string[]; readonly b: readonly string[] };
  };
}

/** HTML of the whole page. @param document to draw in: a page's own, or one of Node. */
export async function renderReport(report: Report, document: Document): Promise<string> {
  const { result, label, comparison } = escaped(report);
  const sections: readonly (readonly [id: string, title: string, shown: boolean])[] = [
    ['look', 'Look here first', true],
    ['run', 'This run', true],
    ['comparison', 'Before and after', comparison !== undefined],
    ['stages', 'Stages', (result.forward?.sharded?.profiles.length ?? 0) > 0],
    ['pass', 'Pass', result.forward !== null],
    ['pipeline', 'Pipeline', result.forward !== null],
    ['experts', 'Experts', result.forward !== null],
    ['memory', 'Memory', result.forward !== null],
    ['roofline', 'Roofline', true],
    ['kernels', 'Kernels', true],
    ['growth', 'Growth', true],
    ['checks', 'Checks', true],
    ['method', 'Method', true],
  ];
  const body = (
    <body>
      <a class="skip" href="#main">
        Skip to the verdict
      </a>
      <header>
        <h1>
          Moebius: {result.model} on {result.layout}, {result.adapter.facts.name}
        </h1>
        <nav aria-label="Sections">
          <ul>
            {sections.flatMap(([id, title, shown]) =>
              shown
                ? [
                    <li>
                      <a href={`#${id}`}>{title}</a>
                    </li>,
                  ]
                : [],
            )}
          </ul>
        </nav>
      </header>
      <main id="main">
        <Verdict result={result} />
        <LookHere result={result} />
        <ThisRun result={result} label={label} />
        {comparison && <Compared {...comparison} document={document} />}
        <Stages result={result} document={document} />
        {result.forward && (
          <>
            <Pass forward={result.forward} source={result.sources.forward} />
            <Pipeline result={result} document={document} />
            <Experts result={result} document={document} />
            <Memory result={result} document={document} />
          </>
        )}
        <Roofline result={result} document={document} />
        <Kernels result={result} />
        <Growth result={result} document={document} />
        <Checks result={result} />
        <Method result={result} />
      </main>
      <footer>
        Written by moebius report. The result itself, all samples included, is inside this page, in the
        element with the id moebius-result, as JSON; only the windows that each sample is the median of are
        not.
        <script
          type="application/json"
          id="moebius-result"
          dangerouslySetInnerHTML={{ __html: jsonForPage(report.result) }}
        />
      </footer>
    </body>
  );
  const title = `Moebius: ${result.verdict.outcome}, ${result.adapter.facts.name}, ${result.date}`;
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
function escaped<T>(value: T): T {
  if (typeof value === 'string') return printable(value) as T;
  if (Array.isArray(value)) return value.map(escaped) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [printable(key), escaped(part)])) as T;
}
