/** Faults below the kernels: buffers, parameters, bind groups, command lists, spans, errors of the device. */
import { faultsIn, type Mutant } from '../mutant.ts';

export const deviceFaults: readonly Mutant[] = [
  ...faultsIn('src/gpu/bind-groups.ts', { tests: ['gpu/memory-kept.test.ts', 'gpu/memory.shared.test.ts'] }, [
    {
      find: 'key += `|${v.buffer.id}:${v.byteOffset}:${v.byteLength}`;',
      replace: 'key += `|${v.buffer.id}:${v.byteOffset}`;',
      why: 'views of one place and different length share a bind group',
    },
    {
      find: 'key += `|${v.buffer.id}:${v.byteOffset}:${v.byteLength}`;',
      replace: 'key += `|${v.buffer.id}:${v.byteLength}`;',
      why: 'views of equal length at different offsets share a bind group',
    },
    {
      find: 'this.#young.delete(key);\n      this.#old.delete(key);\n    }\n    this.#keysOfBuffer',
      replace: '}\n    this.#keysOfBuffer',
      why: 'bind groups of destroyed buffers are kept',
    },
  ]),
  ...faultsIn('src/gpu/bind-groups.ts', { tests: ['gpu/bind-groups.test.ts'] }, [
    {
      find: 'this.#old = this.#young;',
      replace: 'this.#old = new Map([...this.#old, ...this.#young]);',
      why: 'bind groups are kept without end',
    },
    {
      find: 'this.#old.delete(key);\n    this.#keep(key, entry);',
      replace: 'return entry;',
      why: 'a bind group that is used is dropped with the old ones',
    },
  ]),
  ...faultsIn(
    'src/gpu/param-arena.ts',
    { tests: ['gpu/memory-kept.test.ts', 'gpu/kernels.shared.test.ts'] },
    [
      {
        find: 'for (const chunk of chunks.splice(0)) this.#free.push(chunk);',
        replace: '',
        why: 'chunks of parameters are never used again',
      },
      {
        find: 'chunk = this.#free.pop() ?? this.#create();\n      chunk.used = 0;',
        replace: 'chunk = this.#free.pop() ?? this.#create();',
        why: 'a chunk that is used again is full from the start',
      },
      {
        find: 'chunk === undefined || chunk.used === SLOTS',
        replace: 'chunk === undefined',
        why: 'a list of more than 256 dispatches runs past its chunk',
      },
      {
        find: 'chunk.view.setInt32(offset, value, true)',
        replace: 'chunk.view.setUint32(offset, Math.abs(value), true)',
        why: 'signed parameters lose their sign',
      },
    ],
  ),
  ...faultsIn(
    'src/gpu/gpu.ts',
    { tests: ['gpu/lost.test.ts', 'gpu/memory-kept.test.ts', 'gpu/memory.shared.test.ts'] },
    [
      {
        find: 'staging.mapAsync(MAP_MODE.READ), this.signal);\n      this.throwPending();',
        replace: 'staging.mapAsync(MAP_MODE.READ), this.signal);',
        why: 'reading back hides an error of the device',
      },
      {
        find: 'staging.destroy();\n      end();',
        replace: 'end();',
        why: 'staging buffers are never freed',
      },
    ],
  ),
  ...faultsIn('src/core/buffer-bytes.ts', { tests: ['gpu/memory.shared.test.ts'] }, [
    {
      find: 'return Math.max(16, roundUp(bytes, 16));',
      replace: 'return Math.max(16, bytes);',
      why: 'buffers are no multiple of 16 bytes',
    },
  ]),
  ...faultsIn('src/gpu/device-state.ts', { tests: ['gpu/lost.test.ts', 'gpu/memory.shared.test.ts'] }, [
    {
      find: 'this.#ended ??= reason;',
      replace: 'void reason;',
      why: 'the loss of the device is not remembered',
    },
    {
      find: 'this.#pending ??= event.error.message',
      replace: 'void event.error.message',
      why: 'errors of the device are dropped',
    },
    {
      find: 'this.#pending = undefined;',
      replace: '',
      why: 'an error of the device is told again and again',
    },
  ]),
  ...faultsIn('src/gpu/query-pool.ts', { tests: ['gpu/spans.test.ts'] }, [
    {
      find: 'if (!taken) return;',
      replace: '',
      why: 'a block that is released twice is taken by two',
    },
    {
      find: 'if (!idle || set === this.#sets[0] ||',
      replace: 'if (!idle ||',
      why: 'every list makes a set of its own again',
    },
    {
      find: 'const set = this.#sets.find(({ free }) => free.length > 0) ?? this.#create();',
      replace: 'const set = this.#create();',
      why: 'lists share no set',
    },
  ]),
  ...faultsIn('src/gpu/span-timer.ts', { tests: ['gpu/spans.test.ts'] }, [
    {
      find: 'place += (BYTES_PER_SPAN / 2) * count;',
      replace: 'place += 4 * count;',
      why: 'spans past 2,048 are read from the wrong place',
    },
    {
      find: 'const slot = first + 2 * (index % SPANS_PER_BLOCK);',
      replace: 'const slot = first + 2 * Math.min(index, SPANS_PER_BLOCK - 1);',
      why: 'spans past 2,048 all write the last slot',
    },
    {
      find: 'ns: endNs >= beginNs ? Number(endNs - beginNs) : undefined',
      replace: 'ns: Math.abs(Number(endNs - beginNs))',
      why: 'a clock that went backwards gives a time',
    },
  ]),
  ...faultsIn('src/gpu/ledger.ts', { tests: ['gpu/memory-kept.test.ts'] }, [
    {
      find: 'this.#peak = Math.max(this.#peak, this.#bytes);',
      replace: 'this.#peak = this.#bytes;',
      why: 'the peak of memory is what was allocated last',
    },
  ]),
];
