/** What `bench:isa` reads from compilers' words: hand-made texts of the two kinds, and statistics of the four drivers. */
import { expect, test } from 'vitest';
import { idleExceptions, type KernelRow, missing } from '../../bench/isa/compile.ts';
import { CARD_USES, goalsOf } from '../../bench/isa/goals.ts';
import { loopsOf, matricesIn, matricesOf } from '../../bench/isa/isa-text.ts';
import { shareOf } from '../../bench/isa/model.ts';
import { statisticsOf } from '../../bench/isa/statistics.ts';
import { TARGETS } from '../../bench/isa/targets.ts';

/** A loop of two loads and a wait around one of four multiply-adds; BB3 leaves it and lies between. */
const AMD = `
BB0:
	s_mov_b32 s0, 0
BB1:
	buffer_load_b128 v[0:3], v4, s[0:3], 0 offen
	buffer_load_b128 v[8:11], v4, s[0:3], 0 offen
	s_waitcnt vmcnt(0)
	s_cbranch_scc1 BB3
BB2:
	ds_load_b128 v[0:3], v5
	v_fmac_f32_e32 v6, v0, v1
	(then repeated 4 times)
	s_cbranch_scc0 BB2
	s_branch BB1
BB3:
	v_add_f32_e32 v6, v6, v6
	s_endpgm
`;

/** The same: block 3 is the way out, block 1 the outer loop's head. */
const NAK = `block.u 0 L0 [] -> {
  r0 = mov 0x0
}
block.u 1 L1 [0, 3] -> {
  r0..4 = ld.global.a64.b128 [r4]
  bra !up0 L3
}
block 2 L3 [1] -> {
  exit
}
block 3 L2 [1, 3] -> {
  r0..4 = ld.shared.b128 [r5]
  r6 = ffma r0 r1 r6
  r7 = ffma r0 r1 r7
  bra up0 L2
}
`;

test('loops are found by where jumps lead, and counted without their inner ones', () => {
  const [outer] = loopsOf(AMD, 64);
  expect(outer?.mix).toMatchObject({ cacheBytes: 32, waits: 1, fmas: 0, vector: 0 });
  expect(outer?.inner).toHaveLength(1);
  expect(outer?.inner[0]?.mix).toMatchObject({ storageBytes: 16, fmas: 4, fmaIssues: 4, waits: 0 });
  expect(outer?.inner[0]?.depth).toBe(2);
  const [nak] = loopsOf(NAK, 32);
  expect(nak?.mix).toMatchObject({ cacheBytes: 16, fmas: 0 });
  expect(nak?.inner[0]?.mix).toMatchObject({ storageBytes: 16, fmas: 2 });
});

/** Products of matrices in an inner loop, of 2, and behind it, of 3; the loop around both has none of its own but for them. */
const WMMA = `
BB0:
	s_mov_b32 s0, 0
BB1:
	v_mov_b32_e32 v1, 0
BB2:
	s_barrier
BB3:
	v_wmma_f32_16x16x16_f16 v[0:7], v[8:15], v[16:23], v[0:7]
	(then repeated 2 times)
	s_cbranch_scc0 BB3
BB4:
	v_wmma_f32_16x16x16_f16 v[0:7], v[8:15], v[16:23], v[0:7]
	(then repeated 3 times)
	s_cbranch_scc0 BB2
BB5:
	s_cbranch_scc0 BB1
BB6:
	s_endpgm
`;

test('instructions of matrix units are counted in the loop that issues them, with its inner ones', () => {
  expect(matricesOf(WMMA, 32)).toBe(5);
  // What is in no loop does not count.
  expect(matricesOf(WMMA.replace(/s_cbranch_scc0 BB[12]/g, 's_nop 0'), 32)).toBe(2);
  expect(matricesOf(AMD, 64)).toBeUndefined();
  expect(matricesIn(WMMA)).toBe(2);
  expect(matricesIn('  dpas.8x8 (8) g10:f null:f g20:hf g30:hf')).toBe(1);
  expect(matricesIn(AMD)).toBe(0);
});

test('the share of peak is that of the busiest part, with the turns that the spec comes to', () => {
  const machine = TARGETS.find(({ name }) => name === 'navi21')?.machine;
  if (machine === undefined) throw new Error('navi21 has a machine');
  const spec = { REG_M: 4, REG_N: 4, TILE_K: 4 };
  // 64 multiply-adds a turn of 4 in the loop: 16 turns of 4 x 2 cycles of vector issue; 16 x 16 bytes x 64 lanes x 2 SIMDs of
  // workgroup storage at 128 bytes a cycle are 256 cycles: half of the peak of 2 cycles per multiply-add.
  expect(shareOf({ shader: 'gemm/blocked.wgsl', spec }, AMD, 64, machine)).toEqual({
    share: 0.5,
    limit: 'storage',
    // One wait of 400 cycles beside 128 of issue.
    alone: (64 * 64) / (528 * 32),
  });
  // Without a spec that says so, the hot loop by itself.
  expect(shareOf({ shader: 'gemm/row.wgsl', spec: {} }, AMD, 64, machine)?.share).toBe(0.5);
  expect(shareOf({ shader: 'gemm/row.wgsl', spec: {} }, 'BB0:\n\ts_endpgm\n', 64, machine)).toBeUndefined();
});

test.each([
  [
    'AMD',
    'Subgroup size\t64\nVGPRs\t120\nSpilled VGPRs\t2\nSpilled SGPRs\t1\nScratch size\t64\nSubgroups per SIMD\t8',
    120,
    3,
    64,
  ],
  [
    'NVIDIA',
    'Subgroup size\t32\nNumber of GPRs\t96\nMax warps/SM\t20\nSLM size\t256\nSpills to memory\t0',
    96,
    0,
    256,
  ],
  [
    'Intel',
    'Subgroup size\t16\nMax dispatch width\t16\nMax live registers\t130\nSpills\t7\nScratch Memory Size\t1024',
    130,
    7,
    1024,
  ],
  ['Apple', 'Subgroup size\t32\nGPRs\t255\nThreads\t384\nSpills\t5\nScratch\t32', 255, 5, 32],
])('statistics of %s', (_vendor, text, registers, spills, scratchBytes) => {
  expect(statisticsOf(text)).toMatchObject({ registers, spills, scratchBytes });
  expect(statisticsOf('')).toBeUndefined();
});

test('a compiler that is not here is told with how to get it', () => {
  const [ada] = TARGETS.filter(({ name }) => name === 'ada');
  if (ada === undefined) throw new Error('ada is a target');
  expect(missing(ada, { root: '/nowhere' })).toMatch(/no newer Mesa .* in \/nowhere .*newer-mesa\.sh/);
});

test('an exception that no chosen kernel needs is told', () => {
  const spilling = (kernel: string, chosen = true): KernelRow => ({
    ...{ kernel, shader: 'any.wgsl', chosen, uses: [], spills: true },
  });
  expect(idleExceptions({ target: 'm1', kernels: [spilling('attention.blocked,KV_F16')] })).toEqual([]);
  expect(idleExceptions({ target: 'm1', kernels: [spilling('attention.blocked', false)] })).toEqual([
    'm1: ^attention\\.blocked',
  ]);
  expect(idleExceptions({ target: 'arc', kernels: [spilling('gemm.row,int4,WG-64')] })).toHaveLength(3);
  expect(idleExceptions({ target: 'arc', kernels: [spilling('gemm.row,int8,WG-64')] })).toHaveLength(4);
  expect(idleExceptions({ target: 'navi31', kernels: [] })).toEqual([]);
});

/** Chosen kernels of the card, all of one quality. */
function kernelsOf(share: number, cycles: number): KernelRow[] {
  const row = (kernel: string, use: string): KernelRow => ({
    ...{ kernel, shader: 'any.wgsl', chosen: true, uses: [use], spills: false },
    measured: {
      ...{ registers: 128, spills: 0, scratchBytes: 0, occupancy: 8, wave: 64, inverseThroughput: cycles },
    },
    modelled: { share, limit: 'vector', alone: 0.3 },
  });
  const products = [CARD_USES.gemm, CARD_USES.up, CARD_USES.down].flatMap((use) =>
    ['f32', 'f16', 'int8', 'int4'].map((format) => row(`${use.split(/[ ,]/)[0]}.blocked,${format}`, use)),
  );
  const named = ['f32', 'f16', 'int8', 'int4', 'mxfp4'].flatMap((format) => [
    row(`gemm.matrix,${format}`, CARD_USES.gemmNamed('matrix-128')),
    row(`experts.matrix,${format}`, CARD_USES.expertsNamed('matrix-128')),
  ]);
  const matrices = [
    ...named,
    ...[64, 128, 256].map((dim) => row(`attention.matrix,${dim}`, CARD_USES.attentionNamed('matrix', dim))),
  ].map((one) => ({ ...one, chosen: false, matrices: { emitted: 64, turn: 32 } }));
  return [
    ...products,
    ...[64, 128, 256].map((dim) => row(`attention.blocked,${dim}`, CARD_USES.prefill(dim))),
    ...matrices,
  ];
}
const resultOf = (target: string, kernels: KernelRow[]) => ({
  ...{ target, gpu: '', driver: '', strict: true, matrixUnits: [], refused: [], kernels },
});
const missed = (target: string, kernels: KernelRow[], chosenOnly = false): string[] =>
  goalsOf(resultOf(target, kernels), chosenOnly).flatMap(({ what, met }) => (met ? [] : [what]));

test('goals are held against the worst kernel, and are missed where one was not compiled', () => {
  const good = kernelsOf(0.86, 5000);
  expect(missed('navi31', good)).toEqual([]);
  expect(missed('navi21', good)).toEqual([]);
  expect(missed('navi21', kernelsOf(0.849, 5000))).toEqual(['products: share of peak']);
  expect(missed('navi31', kernelsOf(0.599, 5057))).toEqual([
    'products: share of peak',
    'prefill, heads of 64',
  ]);
  const [first, ...others] = good;
  if (first?.modelled === undefined || first.measured === undefined) throw new Error('a kernel was made');
  const slow = { ...first, modelled: { ...first.modelled, alone: 0.249 } };
  expect(missed('navi31', [slow, ...others])).toEqual(['products: a wave alone']);
  const spilling = { ...first, spills: true };
  expect(missed('ampere', [spilling, ...others])).toEqual(['chosen kernels that spill or use scratch']);
  expect(missed('navi31', others)).toEqual(['products: share of peak', 'products: a wave alone']);
  expect(missed('ada', [])).toEqual([
    'prefill that spills, heads of 64, 128, 256',
    'chosen kernels that spill or use scratch',
  ]);
});

test('kernels for matrix units have goals of their own, where they were compiled', () => {
  const good = kernelsOf(0.86, 5000);
  const changed = (change: Partial<KernelRow>): KernelRow[] => {
    const last = good.at(-1);
    if (last === undefined) throw new Error('a kernel was made');
    return [...good.slice(0, -1), { ...last, ...change }];
  };
  const [turn, spill, none] = [
    'matrix units: WMMA in a turn of the loop',
    'matrix units: tiles of 128 and prefill that spill',
    'matrix units: kernels without their instructions',
  ];
  expect(missed('navi31', changed({ matrices: { emitted: 40, turn: 31 } }))).toEqual([turn]);
  expect(missed('navi31', changed({ matrices: { emitted: 40 } }))).toEqual([turn]);
  expect(missed('navi31', changed({ spills: true }))).toEqual([spill]);
  expect(missed('arc', changed({ matrices: { emitted: 0 } }))).toEqual([none]);
  expect(missed('navi31', good.slice(0, -1))).toEqual([turn, spill]);
  const chosen = good.filter((row) => row.chosen);
  expect(missed('navi31', chosen)).toEqual([turn, spill]);
  expect(missed('navi31', chosen, true)).toEqual([]);
});
