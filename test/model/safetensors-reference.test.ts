/** Headers that come from anywhere: read or refused as by the reference reader, and refused in a line or two. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { readSafetensors } from '../../src/model/safetensors/safetensors.ts';
import { tensor, type Tensor } from '../../src/tensor/tensor.ts';
import { entry, fileOf } from './safetensors-file.ts';

const four = [0, 0, 0, 0];

function read(file: Uint8Array): Map<string, Tensor> {
  return readSafetensors(file, 'x.safetensors');
}

/** What a file is refused with. */
function message(file: Uint8Array): string {
  try {
    read(file);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  return 'was read';
}

/** What safetensors 0.8.0, the reference reader, said to these headers of a file with four bytes of data. */
const INNER = '"dtype":"F32","shape":[1],"data_offsets":[0,4]';
const PLAIN = `{"a":{${INNER}}}`;
const reference: readonly [what: string, header: string, reads: boolean][] = [
  ['blanks around', `\n ${PLAIN}\t \r\n`, true],
  ['a byte order mark', `\ufeff${PLAIN}`, false],
  ['a NUL behind', `${PLAIN}\0`, false],
  ['metadata null', `{"__metadata__":null,${PLAIN.slice(1)}`, true],
  ['metadata null, its key escaped', `{"__met\\u0061data__":null,${PLAIN.slice(1)}`, true],
  ['metadata of nothing', `{"__metadata__":{},${PLAIN.slice(1)}`, true],
  ['metadata as a list', `{"__metadata__":[],${PLAIN.slice(1)}`, false],
  ['metadata with null in it', `{"__metadata__":{"a":null},${PLAIN.slice(1)}`, false],
  ['a size 1.0', PLAIN.replace('[1]', '[1.0]'), false],
  ['a size 1e0', PLAIN.replace('[1]', '[1e0]'), false],
  ['a size 1E0', PLAIN.replace('[1]', '[1E0]'), false],
  ['a size 01', PLAIN.replace('[1]', '[01]'), false],
  ['an offset 4.0', PLAIN.replace('[0,4]', '[0,4.0]'), false],
  ['an offset 0.0', PLAIN.replace('[0,4]', '[0.0,4]'), false],
  ['an offset -0', PLAIN.replace('[0,4]', '[-0,4]'), false],
  ['a fraction in an unknown field', `{"a":{"x":1.5,"y":{"shape":1.0},${INNER}}}`, true],
  ['a number beyond float64 in an unknown field', `{"a":{"x":1e400,${INNER}}}`, false],
  ['a whole pair of surrogates', `{"\\ud83d\\ude00":{${INNER}}}`, true],
  ['a high surrogate alone', `{"\\ud800":{${INNER}}}`, false],
  ['a low surrogate alone', `{"\\udc00":{${INNER}}}`, false],
  ['a high surrogate before a letter', `{"\\ud800\\u0041":{${INNER}}}`, false],
  ['half a character in metadata', `{"__metadata__":{"a":"\\ud800"},${PLAIN.slice(1)}`, false],
  ['half a character in a key of metadata', `{"__metadata__":{"\\ud800":""},${PLAIN.slice(1)}`, false],
  ['half a character deep in an unknown field', `{"a":{"x":[{"y":"\\udfff"}],${INNER}}}`, false],
  ['a NUL in a name', `{"\\u0000":{${INNER}}}`, true],
  ['an empty name', `{"":{${INNER}}}`, true],
  ['127 levels', `{"a":{"x":${'['.repeat(125)}${']'.repeat(125)},${INNER}}}`, true],
  ['128 levels', `{"a":{"x":${'['.repeat(126)}${']'.repeat(126)},${INNER}}}`, false],
];

test.each(reference)('%s is read or refused as by the reference reader', (_, header, reads) => {
  const file = fileOf(header, four);
  if (reads) expect([...read(file).values()]).toEqual([tensor('f32', [1], new Float32Array(1))]);
  else expect(() => read(file)).toThrow(ConfigError);
});

describe('hostile headers', () => {
  const LONG = 'n'.repeat(5e6);
  const DEEP = (n: number): string => '['.repeat(n) + ']'.repeat(n);
  test.each([
    [
      'a shape 100 levels deep',
      `{"a":{"dtype":"F32","shape":${DEEP(100)},"data_offsets":[0,4]}}`,
      /shape \[\[\[\[\.\.\.\]/,
    ],
    [
      'a shape 5,000 levels deep',
      `{"a":{"dtype":"F32","shape":${DEEP(5e3)},"data_offsets":[0,4]}}`,
      /nests more than 127/,
    ],
    ['a dtype a million levels deep', `{"a":{"dtype":${DEEP(1e6)}}}`, /nests more than 127/],
    [
      'a shape of a million sizes',
      `{"a":{"dtype":"F32","shape":[${'1,'.repeat(1e6)}2],"data_offsets":[0,4]}}`,
      /1000001 dimensions.* needs 8/,
    ],
    ['a million sizes in text', `{"a":{"dtype":"F32","shape":[${'"1",'.repeat(1e6)}2]}}`, /1000001 elements/],
    [
      'a name of 5 MB',
      `{"${LONG}":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`,
      /nnn\.\.\.nnn.*\(5000000 characters\)/,
    ],
    [
      'a dtype of 5 MB',
      `{"a":{"dtype":"${LONG}","shape":[2],"data_offsets":[0,4]}}`,
      /\(5000000 characters\), which is not/,
    ],
    ['a key of 5 MB twice', `{"${LONG}":1,"${LONG}":1}`, /twice in one object/],
    ['5 MB that are no JSON', `{"a":${LONG}`, /not valid JSON/],
    [
      'a name with controls',
      `{"\\u001b[2J\\u009b\\u202e":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`,
      /"\\u001b\[2J\\u009b\\u202e"/,
    ],
  ])('%s is refused in a line or two', (_, header, expected) => {
    const said = message(fileOf(header, four));
    expect(said).toMatch(expected);
    expect(said.length).toBeLessThan(400);
    expect(said).not.toMatch(/\p{Cc}/u);
  });

  test('an empty tensor with a huge size beside the zero takes no memory', () => {
    const file = fileOf({ a: entry('F32', [0, 2 ** 28, 1, 4], [0, 0]) });
    expect(read(file).get('a')).toEqual(tensor('f32', [0, 2 ** 28, 1, 4], new Float32Array()));
  });
});

test('any header gives tensors or a ConfigError of a line or two', () => {
  const field = fc.oneof(
    { weight: 2, arbitrary: fc.jsonValue() },
    fc.constantFrom('F32', 'U8', [1], [0, 4], [4]),
  );
  const info = fc.record({ dtype: field, shape: field, data_offsets: field }, { requiredKeys: [] });
  const header = fc.dictionary(
    fc.oneof(fc.string(), fc.constant('__metadata__')),
    fc.oneof(info, fc.jsonValue()),
  );
  fc.assert(
    fc.property(fc.oneof(header, fc.jsonValue()), fc.uint8Array({ maxLength: 8 }), (json, data) => {
      const said = message(fileOf(JSON.stringify(json), data));
      expect(said.length).toBeLessThan(500);
    }),
    { numRuns: 500 },
  );
});
