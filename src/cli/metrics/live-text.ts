/** Text that comes piece by piece, and below it, for who watches a terminal, the load of the experts so far. */
import { printableText } from '../../core/text/printable.ts';
import { expertLoadLine } from '../../report/terminal/routing/expert-load.ts';
import type { Style } from '../../report/terminal/style.ts';
import type { ExpertLoad } from '../../runtime/expert-load.ts';
import { stderrLine } from './live-line.ts';

export interface LiveText {
  /** Whom a generation tells; of the load only where somebody watches. */
  readonly told: {
    readonly onText: (text: string) => void;
    readonly onLoad?: (load: ExpertLoad) => void;
  };
  /** Takes the line away. */
  readonly end: () => void;
  /** The last line, where there was one. */
  readonly load: () => string | undefined;
}

/** @param prompt printed before the first text. */
export function liveText(prompt: string, style: Style): LiveText {
  const live = stderrLine(process.stdout.isTTY);
  let line: string | undefined;
  let started = false;
  const print = (text: string, shown = text): void => {
    live?.text(text);
    process.stdout.write(shown);
  };
  const showLoad = (): void => {
    if (line !== undefined) live?.show(line);
  };
  const onText = (text: string): void => {
    const first = printableText(prompt);
    if (!started) print(first, style.bold(first));
    started = true;
    print(printableText(text));
    showLoad();
  };
  const onLoad = (load: ExpertLoad): void => {
    line = expertLoadLine(load, process.stderr.columns - 1);
    // Until the prompt is there the line would stand in its place.
    if (started) showLoad();
  };
  return {
    told: { onText, ...(live !== undefined && { onLoad }) },
    end: () => live?.end(),
    load: () => line,
  };
}
