/**
 * A process of its own: `node --import tsx probe-globals.ts` imports the API, calls it, and prints what is then not as it
 * was before, as a JSON array.
 */
import { readFileSync, realpathSync } from 'node:fs';

const EVENT_SOURCES = { process, stdout: process.stdout, stderr: process.stderr, stdin: process.stdin };

function snapshot(): Map<string, unknown> {
  const all = new Map<string, unknown>();
  const own = (name: string, target: object): void => {
    for (const key of Reflect.ownKeys(target)) {
      const how = Object.getOwnPropertyDescriptor(target, key);
      all.set(`${name}.${String(key)}`, how && Reflect.get(how, 'value'));
      all.set(`${name}.${String(key)} (how)`, `${how?.writable} ${how?.enumerable} ${how?.configurable}`);
    }
  };
  own('globalThis', globalThis);
  own('console', console);
  for (const [name, value] of Object.entries(process.env)) all.set(`env.${name}`, value);
  for (const [name, source] of Object.entries(EVENT_SOURCES)) {
    for (const event of source.eventNames().filter((event) => typeof event === 'string')) {
      all.set(`${name} on ${String(event)}`, source.listenerCount(event));
    }
  }
  const methods = [
    ...['emit', 'emitWarning', 'exit', 'on'].map((method) => [process, method] as const),
    ...['write', 'on', 'emit'].flatMap((method) => [
      [process.stdout, method] as const,
      [process.stderr, method] as const,
    ]),
  ];
  methods.forEach(([target, method], i) =>
    all.set(`${method} (${i})`, Reflect.get(target, method) as unknown),
  );
  for (const name of ['Array', 'Object', 'Promise', 'Map', 'Error', 'Float32Array'] as const) {
    own(`${name}.prototype`, globalThis[name].prototype);
  }
  all.set('exit code', process.exitCode).set('folder', process.cwd()).set('title', process.title);
  for (const fd of [1, 2]) {
    const [flags] = /^flags:.*$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')) ?? [];
    all.set(`descriptor ${fd}`, `${realpathSync(`/proc/self/fd/${fd}`)} ${flags}`);
  }
  return all;
}

// What Node itself makes when it is first looked at is no news afterwards.
void [DOMException, AbortController, AbortSignal];
snapshot();
const before = snapshot();
const { continuePrompt, ...api } = await import('../../src/index.ts');
const { createEngine, layout, loadCheckpoint, nodePlatform, openGpu, parseLayout, planLayout } = api;

await layout();
await layout({ layout: 'nonsense' }).catch(() => undefined);
const found = await api.doctor();
const platform = nodePlatform();
const gpu = await openGpu(platform);
const weights = await loadCheckpoint('bench/models/tiny-moe', (path) => platform.readFile(path));
const plan = planLayout(parseLayout('ep=2'), weights.config);
const engine = await createEngine(gpu, { layout: plan, weights, maxSequences: 2, maxLength: 16 });
await continuePrompt(engine, { promptIds: [1, 2, 3], tokens: 2 });
engine.destroy();
gpu.destroy();

const after = snapshot();
const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
  (key) => !Object.is(before.get(key), after.get(key)),
);
process.stdout.write(JSON.stringify({ adapter: found.facts.name, changed }), () => process.exit(0));
