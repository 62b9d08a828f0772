/** What a continuation has come to: its text, the time of each stage, and whom the router chose. */
import { batch, computed, signal } from '@preact/signals';
import { maxOf, sum } from '../../core/math.ts';
import { printableLines } from '../../core/text/printable.ts';
import { formatNs } from '../../core/units.ts';
import { Badge, Bar, Facts } from '../../report/html/parts.tsx';
import type { Token } from '../protocol/reports.ts';
import { onProgress, run } from '../state/session.ts';

const prompted = signal('');
const tokens = signal<readonly Token[]>([]);
/** All choices so far, [layer][expert]. */
const load = computed(() => {
  const all: number[][] = [];
  for (const { load: own } of tokens.value)
    own.forEach((counts, layer) => {
      const row = (all[layer] ??= counts.map(() => 0));
      counts.forEach((count, expert) => (row[expert] = (row[expert] ?? 0) + count));
    });
  return all;
});

onProgress(({ tokens: told }, { job }) => {
  if (job.kind === 'generate' && told) tokens.value = [...tokens.value, ...told];
});

/** Before a continuation: what was shown goes. */
export function clearSpoken(prompt: string): void {
  batch(() => {
    tokens.value = [];
    prompted.value = prompt;
  });
}

export function Spoken() {
  if (prompted.value === '') return null;
  const list = tokens.value;
  const outcome = run.value?.outcome;
  // Characters whose tokens had not all come are in the whole text only.
  const said = outcome?.kind === 'generate' ? outcome.text : list.map(({ text }) => text).join('');
  const last = list.at(-1);
  return (
    <>
      <p class="spoken" aria-label="Text" data-tokens={list.length}>
        <span class="prompt">{printableLines(prompted.value)}</span>
        {printableLines(said)}
      </p>
      {outcome?.kind === 'generate' && (
        <Facts
          facts={[
            ['first token', `${formatNs(outcome.prefillNs)} (measured, host clock)`],
            ['each further', list.length < 2 ? 'none' : formatNs(outcome.decodeNs / (list.length - 1))],
            ['ranks', `${outcome.worldSize}, made ready in ${formatNs(outcome.engineNs)}`],
            ['end', outcome.ended ? 'the model ended the text' : 'as many tokens as were asked for'],
            ['host waits', `${outcome.hostSyncsInLayers} within the layers`],
          ]}
        />
      )}
      {last !== undefined && (
        <div class="two uneven">
          <StageTimes last={last} />
          <Heat />
        </div>
      )}
    </>
  );
}

function StageTimes({ last }: { readonly last: Token }) {
  const later = tokens.value.slice(1);
  const mean = (stage: number): number =>
    later.length === 0 ? 0 : sum(later.map(({ stages }) => stages[stage]?.ns ?? 0)) / later.length;
  const most = maxOf(
    last.stages.map(({ ns }) => ns),
    0,
  );
  return (
    <section aria-labelledby="stage-times">
      <h2 id="stage-times">
        Last token by stage <Badge source="measured" />
      </h2>
      {last.stages.length === 0 ? (
        <p>
          {formatNs(last.hostNs)} on the host's clock. This adapter has no timestamps, so stages cannot be
          told apart.
        </p>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col">stage</th>
              <th scope="col" class="n">
                last
              </th>
              <th scope="col" class="n">
                mean
              </th>
              <th scope="col">beside the slowest</th>
            </tr>
          </thead>
          <tbody>
            {last.stages.map(({ stage, ns }) => (
              <tr key={stage}>
                <th scope="row">stage {stage}</th>
                <td class="n">{formatNs(ns)}</td>
                <td class="n">{later.length === 0 ? '' : formatNs(mean(stage))}</td>
                <td>
                  <Bar share={most === 0 ? 0 : ns / most} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

/** From none to the most: told by number and by colour. */
function heatOf(count: number, fair: number): string {
  if (count === 0) return 'heat-0';
  if (count < 0.5 * fair) return 'heat-1';
  if (count < 1.25 * fair) return 'heat-2';
  return count < 2 * fair ? 'heat-3' : 'heat-4';
}

function Heat() {
  const all = load.value;
  const experts = all[0]?.length ?? 0;
  return (
    <section aria-labelledby="load">
      <h2 id="load">
        Load of the experts <Badge source="measured" />
      </h2>
      <div class="table" role="region" aria-label="Tokens of each expert by layer" tabIndex={0}>
        <table class="heat">
          <thead>
            <tr>
              <th scope="col">layer</th>
              {Array.from({ length: experts }, (_, expert) => (
                <th scope="col" key={expert}>
                  {expert}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {all.map((counts, layer) => (
              <tr key={layer}>
                <th scope="row">{layer}</th>
                {counts.map((count, expert) => (
                  <td key={expert} class={heatOf(count, sum(counts) / counts.length)}>
                    {count}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="soft">Choices of the router, prompt included. Orange: twice an even share or more.</p>
    </section>
  );
}
