/**
 * Closed devices are freed in the end by the collector: each keeps a thread and half a megabyte in native code until then,
 * which the collector does not see and so does not hurry for. So it is asked, once for some devices.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Devices that may wait for the collector. A guess. */
const MOST_WAITING = 16;

let waiting = 0;
let collect: (() => void) | undefined;

/** To be called for each device that was closed. */
export function deviceClosed(): void {
  waiting += 1;
  if (waiting % MOST_WAITING !== 0) return;
  // Later: whoever closes the device still refers to it now.
  setImmediate(() => {
    if (collect === undefined) {
      setFlagsFromString('--expose-gc');
      collect = runInNewContext('gc') as () => void;
      setFlagsFromString('--no-expose-gc');
    }
    collect();
  }).unref();
}
