/** A process of `mutate:shaders`: it may be ended when a shader without a bound does not end. Asked and answered by messages. */
import { openGpu, type Gpu } from '../../../src/gpu/gpu.ts';
import type { KernelDefinition } from '../../../src/gpu/kernel.ts';
import { nodePlatform } from '../../../src/platform/node/node.ts';
import type { KernelKind } from '../../../src/platform/platform.ts';
import { kernelCases } from '../../../src/validate/cases.ts';
import type { KernelCase } from '../../../src/validate/kernel-case.ts';
import { runCase, type CaseResult } from '../../../src/validate/run-case.ts';
import { scenes } from '../../hygiene/barrier-scenes.ts';
import { racesOf } from '../../hygiene/races.ts';
import { stretchGrids } from '../../kernels/stretched.ts';
import { type Ask, type Fate, GOES_ON, type Use } from './messages.ts';

const platform = nodePlatform();

/** A device of each kind that is given one shader with another text. Kernels are compiled once, whatever the text of others. */
class Devices {
  readonly #open = new Map<KernelKind, Gpu>();
  #path: string | undefined;
  #text = '';
  /** Shaders that were asked for, and what is compiled in; nothing is compiled meanwhile. */
  #noted: Record<string, string> | undefined;

  async of(kind: KernelKind): Promise<Gpu> {
    const open = this.#open.get(kind);
    if (open !== undefined) return open;
    const gpu = await openGpu({ ...platform, kernelKind: kind });
    stretchGrids(gpu);
    const compile = gpu.kernel.bind(gpu);
    const kernel = (definition: KernelDefinition, spec: object = {}): Promise<unknown> => {
      if (this.#noted === undefined) {
        return compile(
          definition.shader === this.#path ? { ...definition, text: this.#text } : definition,
          spec,
        );
      }
      const before = this.#noted[definition.shader] ?? '';
      this.#noted[definition.shader] = before + JSON.stringify({ ...definition.spec, ...spec });
      return Promise.resolve({ definition, spec: { ...definition.spec, ...spec }, compiled: {} });
    };
    gpu.kernel = kernel as Gpu['kernel'];
    this.#open.set(kind, gpu);
    return gpu;
  }

  swap(path: string, text: string): void {
    [this.#path, this.#text] = [path, text];
  }

  async shadersOf(gpu: Gpu, kernelCase: KernelCase, variant: string): Promise<Use['shaders']> {
    const noted = (this.#noted = {});
    try {
      (await kernelCase.prepare(gpu, variant)).destroy();
    } finally {
      this.#noted = undefined;
    }
    return noted;
  }
}

const devices = new Devices();

function caseOf({ family, name }: Use): KernelCase {
  const found = kernelCases.find((c) => c.family === family && c.name === name);
  if (found === undefined) throw new Error(`no case ${family}/${name}`);
  return found;
}

/** What every case compiles with every variant. */
async function survey(kinds: readonly KernelKind[]): Promise<Use[]> {
  const uses: Use[] = [];
  for (const kind of kinds) {
    const gpu = await devices.of(kind);
    for (const kernelCase of kernelCases) {
      const { family, name } = kernelCase;
      const { flops, bytes } = kernelCase.cost();
      for (const variant of kernelCase.variants(gpu)) {
        const shaders = await devices.shadersOf(gpu, kernelCase, variant);
        uses.push({ kind, family, name, variant, shaders, work: flops + bytes });
      }
    }
  }
  return uses;
}

const DOES_NOT_COMPILE =
  /does not compile on this adapter|cannot be parsed|but its definition says|is refused by this adapter/;

/** FLOP of a dispatch, so that lists of tiles are recorded with those that are none. */
const LITTLE = 1;
const HAS_TILES = /^experts\//;

async function judge(
  path: string,
  text: string,
  uses: readonly Use[],
  others: readonly Use[],
): Promise<Fate> {
  // A tree of sums whose lanes all add reads what others write.
  const race = judgeBarrier(path, text);
  if (race.message?.startsWith('races') === true) return race;
  if (uses.length === 0) return absence(path);
  devices.swap(path, text);
  for (const [some, inPieces] of [
    [uses, false],
    [HAS_TILES.test(path) ? uses : [], true],
    [others, false],
  ] as const) {
    for (const use of some) {
      process.send?.(GOES_ON);
      const gpu = await devices.of(use.kind);
      const usual = gpu.mostDispatchFlops;
      if (inPieces) gpu.mostDispatchFlops = LITTLE;
      const result = await runCase(gpu, caseOf(use), use.variant, { strict: true });
      gpu.mostDispatchFlops = usual;
      if (!result.pass) return { ...fateOf(result, use), inPieces };
    }
  }
  return { fate: 'survived' };
}

/** Of a shader that no case runs here. */
function absence(path: string): Fate {
  const [, enabled = ''] = /^enable ([^;]+);/m.exec(platform.shaderSource(path)) ?? [];
  if (enabled === '') return { fate: 'survived', message: 'no case runs it' };
  return { fate: 'absent', message: `no case runs it on this adapter: it needs ${enabled}` };
}

function fateOf({ message }: CaseResult, use: Use): Fate {
  if (DOES_NOT_COMPILE.test(message)) return { fate: 'invalid', message };
  return { fate: 'caught', use, strict: message.includes('is written beyond its end'), message };
}

/** By the search for races, which knows no adapter. */
function judgeBarrier(path: string, text: string): Fate {
  const own = scenes.filter(({ shader }) => `${shader}.wgsl` === path);
  for (const scene of own) {
    try {
      const [race] = racesOf(text, scene);
      if (race !== undefined) return { fate: 'caught', message: `races: ${race}` };
    } catch (error) {
      // Lanes that part before a barrier: the text with all of its barriers is interpreted to its end.
      return { fate: 'caught', message: `not in step: ${error instanceof Error ? error.message : ''}` };
    }
  }
  return { fate: 'survived' };
}

process.on('message', (ask: Ask) => {
  void (async () => {
    try {
      if (ask.what === 'survey') process.send?.({ uses: await survey(ask.kinds) });
      else if (ask.what === 'barrier') process.send?.(judgeBarrier(ask.path, ask.text));
      else process.send?.(await judge(ask.path, ask.text, ask.uses, ask.others));
    } catch (error) {
      process.send?.({ fate: 'failed', message: error instanceof Error ? error.message : String(error) });
    }
  })();
});
process.on('disconnect', () => process.exit(0));
