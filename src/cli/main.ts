/** The command line's entry: `bin/moebius.js` loads it. */
import { run } from './run.ts';

await run(process.argv.slice(2));
