/** A kernel of the user's own: its WGSL and its definition, pasted or dropped. */
import { signal } from '@preact/signals';
import exampleShader from '../../../bench/examples/gemm.wgsl?raw';
import { clearBench } from '../state/bench.ts';
import { adapter, isRunning, start } from '../state/session.ts';
import { Drop } from './drop.tsx';

const SECONDS = 10;
/** A shader, or its definition: 1 MiB. */
const MOST_BYTES = 2 ** 20;

const EXAMPLE = `{
  "family": "matmul",
  "name": "textbook",
  "idea": "square tiles in workgroup storage, an output per thread",
  "spec": { "TILE": 8 },
  "grid": ["ceil(numCols / TILE)", "ceil(numRows / TILE)", "1"],
  "only": { "weightDtype": "f32" }
}`;

const shader = signal('');
const definition = signal('');

export function OwnKernel() {
  const canRun = adapter.value.state === 'open' && !isRunning.value;
  return (
    <details class="options">
      <summary>Bring your own kernel</summary>
      <p>
        A variant of a family: WGSL that declares, by the family's names, the buffers and parameters that it
        needs, and a definition. It compiles, is held against float64 on every case of its family, and is then
        timed beside ours.
      </p>
      <Drop
        label="Drop a .wgsl and its .json here, or choose them"
        mostBytes={MOST_BYTES}
        accept=".wgsl,.json"
        take={async (files) => {
          for (const { file } of files) {
            const text = await file.text();
            if (file.name.endsWith('.json')) definition.value = text;
            else shader.value = text;
          }
        }}
      />
      <div class="two">
        <label class="field">
          <span class="label">WGSL</span>
          <textarea
            rows={14}
            spellcheck={false}
            value={shader.value}
            onInput={({ currentTarget }) => (shader.value = currentTarget.value)}
          />
        </label>
        <label class="field">
          <span class="label">definition: family, name, spec, grid, and the shapes that it runs only</span>
          <textarea
            rows={14}
            spellcheck={false}
            value={definition.value}
            onInput={({ currentTarget }) => (definition.value = currentTarget.value)}
          />
        </label>
      </div>
      <p class="buttons">
        <button
          type="button"
          disabled={!canRun || shader.value === '' || definition.value === ''}
          onClick={() => {
            clearBench();
            start({ kind: 'own', definition: definition.value, shader: shader.value, seconds: SECONDS });
          }}
        >
          Check and time mine
        </button>
        <button
          type="button"
          onClick={() => {
            shader.value = exampleShader;
            definition.value = EXAMPLE;
          }}
        >
          Load the example
        </button>
      </p>
    </details>
  );
}
