/** A layout as a map of its ranks: who is with whom, what each holds, and what passes between them. */
import { useSignal } from '@preact/signals';
import { messageOf } from '../../core/errors.ts';
import { range } from '../../core/math.ts';
import { formatBytes } from '../../core/units.ts';
import { explainLayout, type LayoutExplanation, type RankShare } from '../../layout/explain.ts';
import { planLayout, type Layout, type RankAxis } from '../../layout/layout.ts';
import { renderExplanation } from '../../layout/render.ts';
import { parseLayout } from '../../layout/spec.ts';
import { formatRanks, formatRun } from '../../layout/text.ts';
import { presetNamed, presets } from '../../model/presets.ts';
import type { MoeConfig } from '../../model/config.ts';
import { Badge, Facts } from '../../report/html/parts.tsx';
import { Field, Message } from '../parts/basics.tsx';
import { axesOf, LayoutField, layoutOfPlace } from '../parts/layout-field.tsx';
import { keepAddress, place } from '../state/links.ts';

/** Ranks that are drawn; further replicas are the same again. A guess. */
const MOST_CELLS = 1024;

interface Planned {
  readonly layout: Layout;
  readonly told: LayoutExplanation;
  readonly config: MoeConfig;
}

function plan(text: string, preset: string): Planned | string {
  try {
    const { config } = presetNamed(preset);
    const layout = planLayout(parseLayout(text), config);
    return { layout, config, told: explainLayout(layout, config, 2) };
  } catch (error) {
    return messageOf(error);
  }
}

export function LayoutRoute() {
  const text = useSignal(layoutOfPlace());
  const preset = useSignal(String(place.value.query['preset'] ?? 'card'));
  const planned = plan(text.value, preset.value);
  const asked = useSignal(place.value.query['rank']);
  const note = (): void =>
    keepAddress('layout', {
      ...axesOf(text.value),
      preset: preset.value === 'card' ? undefined : preset.value,
      rank: asked.value,
    });
  const world = typeof planned === 'string' ? 0 : planned.layout.worldSize;
  const isInside = typeof asked.value === 'number' && asked.value < world;
  const rank = typeof planned === 'string' ? 0 : isInside ? Number(asked.value) : planned.told.exampleRank;
  return (
    <>
      <div class="fields" onChange={note}>
        <LayoutField text={text} id="layout" />
        <Field label="model">
          <select value={preset.value} onChange={({ currentTarget }) => (preset.value = currentTarget.value)}>
            {[...presets.keys()].map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </Field>
      </div>
      {typeof planned === 'string' ? (
        <Message kind="bad">{planned}</Message>
      ) : (
        <>
          <p>
            <b>{planned.told.layout}</b>: {planned.layout.worldSize} ranks. EP folds over the attention ranks,
            so it does not multiply the world; DP counts replicas. Point at a rank, or go by arrow keys.
          </p>
          <div class="map-and-rank">
            <RankMap
              planned={planned}
              rank={rank}
              choose={(chosen) => {
                asked.value = chosen;
                note();
              }}
            />
            <RankFacts planned={planned} rank={rank} />
          </div>
          <details>
            <summary>The whole layout in words</summary>
            <pre tabIndex={0}>{renderExplanation(planned.told)}</pre>
          </details>
        </>
      )}
    </>
  );
}

/** In the order in which a cell that is in several shows them: the smallest first. */
const GROUPS: readonly { readonly axis: RankAxis; readonly name: string; readonly mark: string }[] = [
  { axis: 'tp', name: 'TP: shares one attention block', mark: 'T' },
  { axis: 'pp', name: 'PP: the stages before and after', mark: 'P' },
  { axis: 'edp', name: 'DP: its copies', mark: 'D' },
  { axis: 'ep', name: 'EP: exchanges tokens by expert', mark: 'E' },
];

function RankMap(props: {
  readonly planned: Planned;
  readonly rank: number;
  readonly choose: (rank: number) => void;
}) {
  const { planned, rank, choose } = props;
  const { layout } = planned;
  const { ep, pp, dp } = layout.spec;
  const replicas = Math.max(1, Math.min(dp, Math.floor(MOST_CELLS / (ep * pp))));
  const drawn = Math.min(layout.worldSize, replicas * ep * pp, MOST_CELLS);
  const marks = new Map<number, { readonly mark: string; readonly look: string }>();
  for (const { axis, mark } of [...GROUPS].reverse())
    for (const member of layout.group(rank, axis)) marks.set(member, { mark, look: `in-${axis}` });
  marks.set(rank, { mark: '', look: 'me' });
  const move = (event: KeyboardEvent): void => {
    const steps: Readonly<Record<string, number>> = {
      ...{ ArrowRight: 1, ArrowLeft: -1, ArrowDown: ep, ArrowUp: -ep },
      ...{ Home: -rank, End: drawn - 1 - rank },
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = rank + step;
    if (next < 0 || next >= drawn) return;
    choose(next);
    const grid = (event.currentTarget as HTMLElement).closest('.map');
    grid?.querySelector<HTMLElement>(`[data-rank="${next}"]`)?.focus();
  };
  return (
    <div
      class="map"
      role="group"
      aria-label="Map of the ranks, arrow keys go from rank to rank"
      onKeyDown={move}
    >
      {range(replicas).map((replica) => (
        <div key={replica} class="replica">
          <div class="soft">replica {replica}</div>
          {range(pp).map((stage) => {
            const first = (replica * pp + stage) * ep;
            return (
              <div key={stage} class="stage">
                <span class="soft stage-name">stage {stage}</span>
                <div class="cells">
                  {range(Math.max(0, Math.min(ep, drawn - first))).map((e) => {
                    const own = first + e;
                    const { mark = '', look = '' } = marks.get(own) ?? {};
                    return (
                      <button
                        type="button"
                        key={own}
                        data-rank={own}
                        tabIndex={own === rank ? 0 : -1}
                        class={`cell ${look}`}
                        aria-pressed={own === rank}
                        onMouseEnter={() => choose(own)}
                        onFocus={() => own !== rank && choose(own)}
                        onClick={() => choose(own)}
                      >
                        {own}
                        <sup>{mark}</sup>
                      </button>
                    );
                  })}
                </div>
              </div>
            );
          })}
        </div>
      ))}
      {drawn < layout.worldSize && (
        <p class="soft">
          {drawn.toLocaleString('en')} of {layout.worldSize.toLocaleString('en')} ranks are drawn.
        </p>
      )}
    </div>
  );
}

function RankFacts({ planned, rank }: { readonly planned: Planned; readonly rank: number }) {
  const { layout, told, config } = planned;
  const me = told.ranks[rank] as RankShare;
  return (
    <section class="rank" aria-live="polite" aria-labelledby="rank-title">
      <h2 id="rank-title">Rank {rank}</h2>
      <Facts
        facts={[
          ['place', `replica ${me.replica}, stage ${me.stage}, expert index ${me.ep}`],
          ['attention', `TP group ${me.tpGroup}, member ${me.tp}: heads ${formatRun(me.heads)}`],
          ['layers', formatRun(me.layers)],
          ['experts', `${formatRun(me.experts)} of ${config.numExperts}`],
          ['holds', `${formatBytes(me.bytes)} of weights in f16`],
        ]}
      />
      <h3>
        Peers <Badge source="modelled" />
      </h3>
      <ul class="peers">
        {GROUPS.map(({ axis, name, mark }) => {
          const members = layout.group(rank, axis).filter((other) => other !== rank);
          return (
            <li key={axis}>
              <span class={`swatch in-${axis}`} aria-hidden="true">
                {mark}
              </span>
              <span>
                <b>{name}</b>
                <br />
                {members.length === 0 ? (
                  <span class="soft">none: it is alone</span>
                ) : (
                  <>
                    {formatRanks(members)}
                    <br />
                    <span class="soft">{trafficOf(axis, planned)}</span>
                  </>
                )}
              </span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** Bytes that a rank sends for each token of its own, f16 rows of the model's width. */
function trafficOf(axis: RankAxis, { layout, config, told }: Planned): string {
  const row = 2 * config.modelDim;
  const { ep, tp, pp } = layout.spec;
  const layers = told.ranks[0]?.layers.count ?? 0;
  const each = (bytes: number): string => `${formatBytes(bytes)} a token`;
  switch (axis) {
    case 'tp':
      return `${each((2 * row * (tp - 1) * layers) / tp)}: reduce-scatter and all-gather in each of ${layers} layers`;
    case 'ep':
      return `${each(((2 * row * config.topK * (ep - 1)) / ep) * layers)}: to ${config.topK} experts and back in each of ${layers} layers, spread evenly`;
    case 'pp':
      return pp === 1 ? '' : `${each(row)}: its row goes on to the next stage`;
    case 'edp':
    case 'attnDp':
      return 'nothing: replicas serve other sequences';
  }
}
