/** Multiply-add and broadcast: registers only. */
import { at, range, sum } from '../../core/math.ts';
import { broadcastProbe, CHAIN_WIDTH, chainsOf, fmaHalfProbe, fmaProbe } from '../../kernels/probes.ts';
import { firstDifference, type Probe, type ProbeScale } from './probe.ts';

const FORMS = [
  { FUSED: false, WIDE: false },
  { FUSED: true, WIDE: false },
  { FUSED: false, WIDE: true },
  { FUSED: true, WIDE: true },
] as const;

/** A chain's value in float64: chainValue(3, 4) = 5, since every two steps add 1. */
export function chainValue(start: number, steps: number): number {
  let s = start;
  for (let i = 0; i < steps; i += 2) s = (s * 2 + 1) * 0.5 + 0.5;
  return s;
}

/** Lanes begin with one of so many values. */
const STARTS = 16;

/** A peak in all the ways that compilers may like best; for f16 only the wide ones, to save time. */
export function fmaProbes(dtype: 'f32' | 'f16', { lanes, width, fmaSteps: steps }: ProbeScale): Probe[] {
  const definition = dtype === 'f16' ? fmaHalfProbe : fmaProbe;
  const forms = dtype === 'f16' ? FORMS.filter(({ WIDE }) => WIDE) : FORMS;
  return forms.map(({ FUSED, WIDE }) => ({
    name: `${dtype} multiply-add` as const,
    form: `${FUSED ? 'fma()' : 's * a + b'}, ${chainsOf(WIDE)} chains`,
    features: definition.features ?? [],
    prepare: async (gpu) => {
      const kernel = await gpu.kernel(definition, { WG: width, FUSED, WIDE });
      const y = gpu.elements('probe/fma', CHAIN_WIDTH * lanes);
      const chains = range(chainsOf(WIDE));
      const wanted = range(STARTS * CHAIN_WIDTH).map((i) => {
        const start = (i % CHAIN_WIDTH) + Math.floor(i / CHAIN_WIDTH);
        return sum(chains.map((chain) => chainValue(start + CHAIN_WIDTH * chain, steps)));
      });
      return {
        work: 2 * CHAIN_WIDTH * chains.length * lanes * steps,
        record: (commands) => commands.dispatch(kernel, { lanes, steps, two: 2, one: 1, half: 0.5 }, { y }),
        verify: async () => {
          const { data } = await gpu.read(y, [CHAIN_WIDTH * lanes]);
          return firstDifference(data, (i) => at(wanted, i % wanted.length));
        },
        destroy: () => y.destroy(),
      };
    },
  }));
}

/** Independent of each other, so that one need not wait for the other. A guess. */
const CHAINS = 4;

export function broadcastProbes({ lanes, width, loads: rounds }: ProbeScale): Probe[] {
  return [
    {
      name: 'subgroup broadcast',
      features: broadcastProbe.features ?? [],
      prepare: async (gpu) => {
        const kernel = await gpu.kernel(broadcastProbe, { WG: width });
        const y = gpu.elements('probe/broadcast', CHAINS * lanes, 'u32');
        const place = gpu.elements('probe/place', lanes, 'u32');
        return {
          work: CHAINS * lanes * rounds,
          record: (commands) => commands.dispatch(kernel, { lanes, rounds }, { y, place }),
          verify: async () => {
            const values = (await gpu.read(y, [CHAINS * lanes], 'u32')).data;
            const places = (await gpu.read(place, [lanes], 'u32')).data;
            if (!range(CHAINS).every((k) => places.some((own) => own === k))) return 'a subgroup lacks lanes';
            // Lane k adds k + 1 in every round; in the last round the own place counts instead.
            return firstDifference(values, (i) => {
              const k = i % CHAINS;
              return k + (rounds - 1) * (k + 1) + at(places, Math.floor(i / CHAINS)) + 1;
            });
          },
          destroy: () => [y, place].forEach((buffer) => buffer.destroy()),
        };
      },
    },
  ];
}
