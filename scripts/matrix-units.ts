/** Says whether the adapter of MOEBIUS_ADAPTER lists matrix units, and which; the status is 1 where it lists none. */
import { openGpu } from '../src/gpu/gpu.ts';
import { matrixUnitText } from '../src/gpu/shader/matrices.ts';
import { nodePlatform } from '../src/platform/node/node.ts';

const gpu = await openGpu(nodePlatform());
console.log(`${gpu.facts.name}: ${gpu.matrixUnits.map(matrixUnitText).join('; ') || 'no matrix units'}`);
gpu.destroy();
process.exit(gpu.matrixUnits.length > 0 ? 0 : 1);
