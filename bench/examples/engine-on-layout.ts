/** The bundled model on the 16 virtual ranks of a layout, against the same model on one. */
import {
  continuePrompt,
  createEngine,
  loadCheckpoint,
  nodePlatform,
  openGpu,
  parseLayout,
  planLayout,
} from 'moebius';

const platform = nodePlatform();
const gpu = await openGpu(platform);
const weights = await loadCheckpoint('bench/models/tiny-moe', (path) => platform.readFile(path));
const promptIds = weights.tokenizer?.encode('ROMEO:') ?? [];

const texts: string[] = [];
for (const axes of ['ep=1,pp=1,tp=1,dp=1', 'ep=4,pp=2,tp=2,dp=2']) {
  const layout = planLayout(parseLayout(axes), weights.config);
  const engine = await createEngine(gpu, { layout, weights, maxSequences: 4, maxLength: 64 });
  const { ids } = await continuePrompt(engine, { promptIds, tokens: 24 });
  texts.push(weights.tokenizer?.decode(ids) ?? ids.join(' '));
  console.log(`${layout.worldSize} ranks, ${engine.memory.liveBytes} bytes: ${JSON.stringify(texts.at(-1))}`);
  engine.destroy();
}
if (texts[0] !== texts[1]) process.exitCode = 1;
gpu.destroy();
