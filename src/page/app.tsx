/** The frame of every route: where one is, the adapter, the route itself, and what is running. */
import type { FunctionComponent } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { AdapterLine } from './parts/adapter-line.tsx';
import { Message } from './parts/basics.tsx';
import { JobBar } from './parts/job-bar.tsx';
import { AdapterRoute } from './routes/adapter.tsx';
import { CompareRoute } from './routes/compare.tsx';
import { GenerateRoute } from './routes/generate.tsx';
import { KernelsRoute } from './routes/kernels.tsx';
import { LayoutRoute } from './routes/layout.tsx';
import { RunRoute } from './routes/run.tsx';
import { SearchRoute } from './routes/search.tsx';
import { TimelineRoute } from './routes/timeline.tsx';
import { ValidateRoute } from './routes/validate.tsx';
import { linkTo, place, ROUTE_NAMES, ROUTES, type RouteName } from './state/links.ts';
import { isRunning, trouble } from './state/session.ts';

const VIEWS: Readonly<Record<RouteName, FunctionComponent>> = {
  ...{ run: RunRoute, kernels: KernelsRoute, layout: LayoutRoute, search: SearchRoute },
  timeline: TimelineRoute,
  ...{ validate: ValidateRoute, generate: GenerateRoute, compare: CompareRoute, adapter: AdapterRoute },
};

export function App() {
  const { route, fault } = place.value;
  const heading = useRef<HTMLHeadingElement>(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = `${ROUTES[route].title} · Moebius`;
    // A reader of the page hears where it is now; at first the address has the focus.
    if (!first.current) heading.current?.focus();
    first.current = false;
  }, [route]);
  const View = VIEWS[route];
  return (
    <>
      <a class="skip" href="#main" onClick={skipTo(heading)}>
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href="#/">
          Moebius
        </a>
        <nav aria-label="Routes">
          <ul>
            {ROUTE_NAMES.map((name) => (
              <li key={name}>
                <a href={linkTo(name)} aria-current={name === route ? 'page' : undefined}>
                  {ROUTES[name].title}
                </a>
              </li>
            ))}
          </ul>
        </nav>
      </header>
      <Adapter />
      <main id="main" class={isRunning.value ? 'with-job' : ''}>
        <h1 ref={heading} tabIndex={-1}>
          {ROUTES[route].title}
        </h1>
        {fault !== undefined && <Message kind="warn">{fault}</Message>}
        {trouble.value !== undefined && <Message kind="bad">{trouble.value}</Message>}
        <View key={route} />
      </main>
      <JobBar />
    </>
  );
}

function Adapter() {
  return (
    <section class="adapter-place" aria-label="The adapter">
      <AdapterLine />
    </section>
  );
}

/** Addresses after '#' are routes, so the link moves the focus by itself. */
function skipTo(heading: { readonly current: HTMLHeadingElement | null }) {
  return (event: Event): void => {
    event.preventDefault();
    heading.current?.focus();
  };
}
