/** The adapter in one line: what it is, its clock, what it lacks and what lifts that. */
import { formatNs } from '../../core/units.ts';
import type { Greeting, Opened } from '../protocol/reports.ts';
import { adapter, open } from '../state/session.ts';
import { linkTo } from '../state/links.ts';
import { Message } from './basics.tsx';
import { Gone } from './job-bar.tsx';

export const KINDS: Readonly<Record<Opened['facts']['kind'], string>> = {
  gpu: 'a GPU',
  software: 'software: a CPU plays the GPU',
  'embedded-software': 'software: a CPU plays the GPU',
  unknown: 'unknown: it does not say what it is, so nothing is judged',
};

/** A clock that steps by more than this hides what a kernel takes, ns. Chrome masks to 65,536 without its flag. */
const COARSE_NS = 10_000;

/** What is missing, and the flag that lifts it. */
export function lacksOf({ features, gpuStepNs }: Opened): { what: string; remedy: string }[] {
  const lacks: { what: string; remedy: string }[] = [];
  if (features['timestamp-query'] !== true)
    lacks.push({
      what: 'no GPU timestamps, the host clock times',
      remedy: 'chrome --enable-webgpu-developer-features, where the driver has them',
    });
  else if (gpuStepNs === undefined)
    lacks.push({ what: 'its timestamps do not move', remedy: 'no flag: the driver gives none that count' });
  else if (gpuStepNs > COARSE_NS)
    lacks.push({
      what: `its clock steps by ${formatNs(gpuStepNs)}, windows are longer`,
      remedy: 'chrome --enable-webgpu-developer-features',
    });
  if (features['subgroups'] !== true)
    lacks.push({ what: 'no subgroups', remedy: 'Chrome 134 or newer, not in compatibility mode' });
  if (features['shader-f16'] !== true)
    lacks.push({ what: 'no shader-f16, f16 is stored packed', remedy: 'no flag: the driver has none' });
  return lacks;
}

export function AdapterLine() {
  const now = adapter.value;
  if (now.state === 'opening') {
    if (now.first === undefined) return <p class="adapter soft">Looking for the adapter …</p>;
    return (
      <p class="adapter">
        <Greeted {...now.first} />
        <span class="dot" aria-hidden="true" />
        <span class="soft">looking at its clock …</span>
      </p>
    );
  }
  if (now.state === 'none') {
    return (
      <Message kind="bad">
        <p>{now.message}</p>
        {/no adapter any more/.test(now.message) ? (
          <Gone />
        ) : (
          <p>
            Without one nothing runs here; Layout and Compare need none.{' '}
            <button type="button" onClick={open}>
              Look again
            </button>
          </p>
        )}
      </Message>
    );
  }
  const { found, ms } = now;
  const { clock, gpuStepNs } = found;
  const lacks = lacksOf(found);
  return (
    <p class="adapter">
      <Greeted greeting={found} ms={ms} />
      <span class="dot" aria-hidden="true" />
      {gpuStepNs === undefined ? 'host clock' : 'GPU clock'}, step {formatNs(gpuStepNs ?? clock.grainNs)}
      {lacks.length > 0 && (
        <>
          <span class="dot" aria-hidden="true" />
          <a href={linkTo('adapter')}>
            {lacks.length} {lacks.length === 1 ? 'thing' : 'things'} missing
          </a>
          <span class="soft">
            : {lacks[0]?.what} <code>{lacks[0]?.remedy}</code>
          </span>
        </>
      )}
    </p>
  );
}

/** Its name, what it is, and what came of the first product. @param ms from the page's start to it. */
function Greeted(props: { readonly greeting: Greeting; readonly ms: number }) {
  const { facts, hello } = props.greeting;
  return (
    <>
      <b>{facts.name}</b> <span class={facts.kind === 'gpu' ? 'good' : 'open'}>{KINDS[facts.kind]}</span>
      <span class="dot" aria-hidden="true" />
      {hello.pass ? (
        <span>first product right after {(props.ms / 1000).toFixed(2)} s</span>
      ) : (
        <b class="bad">its first product is wrong: {hello.message}</b>
      )}
    </>
  );
}
