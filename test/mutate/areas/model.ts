/** Faults of reading models: headers, numbers, tokens, presets, targets. */
import { faultsIn, type Mutant } from '../mutant.ts';

const tensors = { tests: ['model/safetensors.test.ts', 'model/header-bytes.test.ts'] };
const halves = { tests: ['tensor'] };

export const modelFaults: readonly Mutant[] = [
  ...faultsIn('src/model/safetensors/header.ts', tensors, [
    {
      find: 'if (headerBytes > fileBytes - 8) {',
      replace: 'if (headerBytes > fileBytes) {',
      why: 'a header may reach eight bytes past the file',
    },
    {
      find: 'if (end - begin !== count * elementBytes) {',
      replace: 'if (end - begin < count * elementBytes) {',
      why: 'a tensor may have more bytes than its shape',
    },
    {
      find: 'if (end > fileBytes - dataStart) {',
      replace: 'if (end > fileBytes) {',
      why: 'a tensor may end past the file',
    },
    {
      find: 'if (cursor !== end) {',
      replace: 'if (cursor > end) {',
      why: 'bytes after the last tensor are passed over',
    },
    {
      find: 'if (entry.begin !== cursor) {',
      replace: 'if (entry.begin < cursor) {',
      why: 'holes between tensors are passed over',
    },
    {
      find: 'if (RESERVED_NAMES.has(name)) {',
      replace: "if (name === '__proto__') {",
      why: 'a tensor may be called constructor',
    },
    {
      find: 'Number.isSafeInteger(count * elementBytes)',
      replace: 'Number.isFinite(count * elementBytes)',
      why: 'sizes may overflow',
    },
  ]),
  ...faultsIn('src/tensor/tensor.ts', halves, [
    {
      find: '(halves[i] as number) << 16;',
      replace: '(halves[i] as number) << 15;',
      why: 'bf16 is read as half of its bits',
    },
  ]),
  ...faultsIn(
    'src/model/families/rope.ts',
    { tests: ['model/families/families.test.ts', 'model/families/rope.test.ts'] },
    [
      {
        find: 'truncate ? Math.floor(from) : from',
        replace: 'Math.floor(from)',
        why: 'YaRN always truncates',
      },
      {
        find: '(f / factor) * ramp + f * (1 - ramp)',
        replace: 'f / factor',
        why: 'YaRN stretches every wave',
      },
    ],
  ),
  ...faultsIn('src/model/safetensors/safetensors.ts', tensors, [
    {
      find: 'if (BigInt.asIntN(32, value) !== value) {',
      replace: 'if (BigInt.asIntN(40, value) !== value) {',
      why: 'integers beyond 32 bits wrap around',
    },
    {
      find: 'start % Math.max(1, elementBytes) === 0 && count > 0',
      replace: 'count > 0',
      why: 'tensors that are not aligned are read as if they were',
    },
  ]),
  ...faultsIn(
    'src/model/safetensors/strict-json.ts',
    { tests: ['model/strict-json.test.ts', 'model/safetensors.test.ts'] },
    [
      {
        find: 'fatal: true, ignoreBOM',
        replace: 'fatal: false, ignoreBOM',
        why: 'bytes that are no UTF-8 are replaced',
      },
    ],
  ),
  ...faultsIn(
    'src/model/safetensors/scan-json.ts',
    { tests: ['model/strict-json.test.ts', 'model/safetensors.test.ts'] },
    [
      {
        find: 'if (!keys.add(string)) events.repeated(string);',
        replace: 'keys.add(string);',
        why: 'a key may be there twice',
      },
      {
        find: 'if (HALF.test(string)) events.halved(string);',
        replace: '',
        why: 'half a character is passed over',
      },
    ],
  ),
  ...faultsIn(
    'src/model/text/char-tokenizer.ts',
    { tests: ['model/tokenizer.test.ts', 'model/checkpoint.test.ts'] },
    [
      {
        find: 'if (id >= vocabSize) {',
        replace: 'if (id > vocabSize) {',
        why: 'an id may be one past the vocabulary',
      },
      {
        find: 'if (other !== undefined) {',
        replace: 'if (other === char) {',
        why: 'two characters may share an id',
      },
      {
        find: '.sort(([a], [b]) => a - b)',
        replace: '',
        why: 'characters are not in the order of their ids',
      },
    ],
  ),
  ...faultsIn('src/model/target.ts', { tests: ['model/cost.test.ts'] }, [
    {
      find: '(perSecond * pp * tp) / tokensPerMicroBatch',
      replace: '(perSecond * pp) / tokensPerMicroBatch',
      why: 'weights are read as if a TP group were one GPU',
    },
    {
      find: 'const kvCopies = tp / Math.min(tp, config.numKvHeads);',
      replace: 'const kvCopies = 1;',
      why: 'key/value heads that several ranks hold are read once',
    },
    {
      find: 'intensity: flopsPerSecond / bytesPerSecond,',
      replace: 'intensity: bytesPerSecond / flopsPerSecond,',
      why: 'intensity is bytes per FLOP',
    },
  ]),
];
