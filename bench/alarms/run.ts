/** One run of the bench in a process of its own: `run.ts OUT ADAPTER SECONDS FAMILIES [SHADER EVERY]`. */
import { writeWhole } from '../../src/cli/files/files.ts';
import { bench } from '../../src/cli/verbs/bench.ts';
import { formatResult } from '../../src/report/file/result-file.ts';
import { plantSlowdown } from './plant.ts';

const [out = '', adapter = 'auto', seconds = '', families = '', shader, every] = process.argv.slice(2);
if (shader !== undefined) plantSlowdown(shader, Number(every));
const result = await bench({
  ...{ adapter, quick: true, seconds: Number(seconds), family: families.split(','), tuning: false },
});
await writeWhole(out, formatResult(result));
// Dawn keeps handles that would hold the process open.
process.exit(0);
