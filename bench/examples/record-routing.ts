/** The experts that the bundled model's tokens take on a text, as a trace that `moebius routing --trace` reads. */
import { writeFile } from 'node:fs/promises';
import {
  createEngine,
  loadCheckpoint,
  nodePlatform,
  openGpu,
  parseLayout,
  planLayout,
  RoutingRecorder,
  writeTrace,
} from 'moebius';

const FOLDER = 'bench/models/tiny-moe';
const [out] = process.argv.slice(2);
const platform = nodePlatform();
const gpu = await openGpu(platform);
const weights = await loadCheckpoint(FOLDER, (path) => platform.readFile(path));
const text = new TextDecoder().decode(await platform.readFile(`${FOLDER}/valid.txt`));
const ids = weights.tokenizer?.encode(text) ?? [];

const window = weights.config.maxPositions;
const layout = planLayout(parseLayout('ep=4,pp=2,tp=2,dp=2'), weights.config);
const engine = await createEngine(gpu, { layout, weights, maxSequences: 16, maxLength: window });
const recorder = new RoutingRecorder(weights.config, `valid.txt in windows of ${window} tokens`);
const requests = Array.from({ length: Math.floor(ids.length / window) }, (_, sequence) => ({
  sequence,
  ids: ids.slice(sequence * window, (sequence + 1) * window),
}));
recorder.add(await engine.forward(requests, { experts: true }));
engine.destroy();
gpu.destroy();

const trace = recorder.trace();
if (out !== undefined) await writeFile(out, writeTrace(trace));
for (const { layer, numTokens, count_E } of trace.layers) {
  console.log(`layer ${layer}: ${numTokens} tokens, rows of its experts ${count_E.join(' ')}`);
}
