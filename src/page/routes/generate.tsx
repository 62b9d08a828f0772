/** Text from a model on all ranks of a layout, token by token, with what each stage took and whom the router chose. */
import { signal, useSignal } from '@preact/signals';
import { ConfigError } from '../../core/errors.ts';
import { layoutFor } from '../../layout/default-layout.ts';
import { planLayout } from '../../layout/layout.ts';
import { CARD_LAYOUT, formatLayout, parseLayout } from '../../layout/spec.ts';
import type { MoeConfig } from '../../model/config.ts';
import { MOST_JSON_BYTES } from '../../model/safetensors/strict-json.ts';
import { Drop, type Given } from '../parts/drop.tsx';
import { Field, NumberField } from '../parts/basics.tsx';
import { Ending, Steps } from '../parts/job-bar.tsx';
import { axesOf, LayoutField, layoutOfPlace } from '../parts/layout-field.tsx';
import { clearSpoken, Spoken } from '../parts/spoken.tsx';
import { keepAddress, MOST_PROMPT, place } from '../state/links.ts';
import { adapter, isRunning, start } from '../state/session.ts';

const DEFAULTS = {
  ...{ prompt: 'ROMEO:', chat: '', layers: '', tokens: 60, temperature: 0, seed: 0 },
  ...{ topk: 0, topp: 1, penalty: 1 },
} as const;
/** Of one file of weights: only parts of it are read at a time. A guess, above any shard. */
const MOST_BYTES = 2 ** 40;

/** Shards, and what lies beside them. A guess, as the worker's. */
const MOST_FILES = 200;

/** The folder that was dropped. */
interface Folder {
  readonly files: readonly Given[];
  /** '2 layers, 8 experts'. */
  readonly about: string;
}

const dropped = signal<Folder | undefined>(undefined);

export function GenerateRoute() {
  const { query } = place.value;
  const layout = useSignal(layoutOfPlace());
  const textOf = (name: 'prompt' | 'chat' | 'layers') => useSignal(String(query[name] ?? DEFAULTS[name]));
  const numberOf = (name: 'tokens' | 'temperature' | 'seed' | 'topk' | 'topp' | 'penalty') =>
    useSignal(Number(query[name] ?? DEFAULTS[name]));
  const [prompt, chat, layers] = [textOf('prompt'), textOf('chat'), textOf('layers')];
  const [count, temperature, seed] = [numberOf('tokens'), numberOf('temperature'), numberOf('seed')];
  const [topK, topP, penalty] = [numberOf('topk'), numberOf('topp'), numberOf('penalty')];
  const begin = (): void => {
    const now = {
      prompt: prompt.value.length > MOST_PROMPT ? DEFAULTS.prompt : prompt.value,
      ...{ chat: chat.value, layers: layers.value, tokens: count.value },
      ...{ temperature: temperature.value, seed: seed.value },
      ...{ topk: topK.value, topp: topP.value, penalty: penalty.value },
    };
    const others = Object.entries(now).filter(
      ([name, value]) => value !== DEFAULTS[name as keyof typeof now],
    );
    keepAddress('generate', { ...axesOf(layout.value), ...Object.fromEntries(others) });
    clearSpoken(prompt.value);
    start({
      ...{ kind: 'generate', layout: layout.value, prompt: prompt.value, chat: chat.value === '1' },
      ...{ layers: layers.value, tokens: count.value, temperature: temperature.value, seed: seed.value },
      ...{ topK: topK.value, topP: topP.value, repetitionPenalty: penalty.value },
      model: (dropped.value?.files ?? []).map(({ path, file }) => ({ path, file })),
    });
  };
  const take = async (given: readonly Given[]): Promise<void> => {
    // What lies in folders within it is the same model once more, for other programs.
    const files = given.filter(({ path }) => /^[^/]+\.(json|jinja|safetensors)$/.test(path));
    if (files.length > MOST_FILES) {
      throw new ConfigError(
        `${files.length} files of a model were dropped; at most ${MOST_FILES} are taken. Run it in Node: moebius generate --model.`,
      );
    }
    const config = await configOf(files);
    dropped.value = { files, about: `${config.numLayers} layers, ${config.numExperts} experts` };
    if (!suits(layout.value, config)) layout.value = formatLayout(layoutFor(config));
  };
  const forget = (): void => {
    dropped.value = undefined;
    [layout.value, layers.value, chat.value] = [formatLayout(CARD_LAYOUT), '', ''];
  };
  return (
    <>
      <div class="fields">
        <label class="field grow">
          <span class="label">prompt</span>
          <textarea
            rows={1}
            value={prompt.value}
            maxLength={60_000}
            onInput={({ currentTarget }) => (prompt.value = currentTarget.value)}
          />
        </label>
        <NumberField label="tokens" value={count} least={1} most={4096} />
        <NumberField label="temperature" value={temperature} least={0} most={100} step={0.1} />
        <NumberField label="seed" value={seed} least={0} most={999_999_999} />
        <LayoutField text={layout} id="generate" />
      </div>
      <p class="buttons">
        <button
          type="button"
          class="main"
          disabled={isRunning.value || adapter.value.state !== 'open'}
          onClick={begin}
        >
          Generate
        </button>
        <span class="soft">
          {dropped.value === undefined
            ? 'with the bundled tiny-moe, a trained model of 16 experts'
            : `with the folder of ${dropped.value.files.length} files: ${dropped.value.about}`}
        </span>
        {dropped.value !== undefined && (
          <button type="button" onClick={forget}>
            Use tiny-moe again
          </button>
        )}
      </p>
      <details class="options">
        <summary>A model of your own</summary>
        <Drop
          folder
          mostBytes={MOST_BYTES}
          label="Drop the folder of a mixture-of-experts checkpoint as Hugging Face has it (config.json, its safetensors, tokenizer.json), or choose it. Weights are read as they are needed and stay on this machine."
          take={take}
        />
        <div class="fields">
          <Field label="the prompt is" hint="a message needs the model's chat template">
            <select value={chat.value} onChange={({ currentTarget }) => (chat.value = currentTarget.value)}>
              <option value="">a text to continue</option>
              <option value="1">a message to answer</option>
            </select>
          </Field>
          <Field label="layers" hint="as 0-3; empty: all">
            <input
              value={layers.value}
              onInput={({ currentTarget }) => (layers.value = currentTarget.value)}
            />
          </Field>
        </div>
      </details>
      <details class="options">
        <summary>Which tokens are drawn</summary>
        <div class="fields">
          <NumberField label="top-k, 0: of all" value={topK} least={0} most={999_999} />
          <NumberField label="top-p" value={topP} least={0.01} most={1} step={0.01} />
          <NumberField label="repetition penalty" value={penalty} least={0.1} most={10} step={0.05} />
        </div>
        <p class="soft">At temperature 0 the most likely token is taken every time.</p>
      </details>
      <Ending kinds={['generate']} />
      <Steps kinds={['generate']} />
      <Spoken />
    </>
  );
}

/** Of the folder, read before anything else of it. @throws ConfigError for one that is no checkpoint of ours. */
async function configOf(files: readonly Given[]): Promise<MoeConfig> {
  const file = files.find(({ path }) => path === 'config.json')?.file;
  if (file === undefined) {
    throw new ConfigError('there is no config.json in what was dropped. Drop the folder of a checkpoint.');
  }
  if (file.size > MOST_JSON_BYTES) {
    throw new ConfigError('config.json is far too long to be one. Drop the folder of a checkpoint.');
  }
  const { readHfConfig } = await import('../../model/hf-config.ts');
  return readHfConfig(new Uint8Array(await file.arrayBuffer()), 'dropped', 'config.json');
}

function suits(text: string, config: MoeConfig): boolean {
  try {
    planLayout(parseLayout(text), config);
    return true;
  } catch {
    return false;
  }
}
