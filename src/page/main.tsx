/** The page begins: what was kept is shown, the adapter is looked for, and from then on it works without a network. */
import { render } from 'preact';
import 'virtual:report.css';
import './page.css';
import { App } from './app.tsx';
import { restore } from './state/bench.ts';
import { open } from './state/session.ts';
import { ownScript } from './trusted.ts';

const root = document.querySelector('#app');
if (root === null) throw new Error('index.html has no #app');
open();
void restore();
render(<App />, root);

// What keeps the page for want of a network is built only.
if (__MOEBIUS_BUILT__ && 'serviceWorker' in navigator) {
  navigator.serviceWorker.register(ownScript('./offline.js')).catch(() => undefined);
}
