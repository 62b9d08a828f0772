/** The grouped GEMM of experts over lists of tiles that no plan of one rank makes. */
import { at, range } from '../../core/math.ts';
import { type ExpertShape, prepareExpertGemm } from '../../kernels/experts/experts.ts';
import type { Maker } from '../draw/maker.ts';
import type { Internal, InternalCase } from './internal-case.ts';

const TILES = 16;

/**
 * One row, of the second of two experts, and entries behind its tile that are none: a dispatch over all that a list has room
 * for, as where long ones are cut, runs them too, and they are not to take the row for the first expert's.
 */
function oneRow(make: Maker): Internal {
  const shape: ExpertShape = {
    ...{ numExperts: 2, depth: 4, numCols: 8, weightDtype: 'f32', rowsPerExpert: 1 },
    ...{ gated: false, biased: false, activation: 'identity' },
  };
  const { numExperts, depth, numCols } = shape;
  const x = make.filled([1, depth], () => 1 + make.random.integer(3));
  const w = make.filled([numExperts, numCols, depth], (i) => {
    const magnitude = 1 + make.random.integer(3);
    return i < numCols * depth ? -magnitude : magnitude;
  });
  const values = range(numCols).map((n) =>
    range(depth).reduce((sum, k) => sum + at(w.data, (numCols + n) * depth + k) * at(x.data, k), 0),
  );
  return {
    expected: { y: { values, shape: [1, numCols] } },
    bytes: 4 * (x.data.length + w.data.length + numCols),
    prepare: async (space) => {
      const gemm = await prepareExpertGemm(space.gpu, shape);
      const tiles = new Uint32Array(4 * TILES);
      tiles.set([1, 0, 1]);
      const t = {
        ...{ x: space.activation('x', x), w1: space.matrix('w1', w), tiles: space.integers('tiles', tiles) },
        y: space.output('y', [1, numCols], 'f32'),
      };
      const grid = space.integers('grid', Uint32Array.of(gemm.columnGroups, TILES, 1));
      return (commands) => gemm.record(commands, t, grid);
    },
  };
}

export const expertCases: Readonly<Record<string, InternalCase>> = {
  'experts, a row and tiles that are none': oneRow,
};
