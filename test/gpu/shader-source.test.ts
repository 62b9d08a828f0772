/** A shader is specialised by rewriting its own declarations, and nothing else. */
import { expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { reflectShader } from '../../src/gpu/shader/reflect.ts';
import { declaredNames, specialise } from '../../src/gpu/shader/specialise.ts';

const SOURCE = `
const WG : u32 = 64u;   // spec
const SHIFT : i32 = 1i;
const SCALE : f32 = 1.0;
const GATED : bool = false;
alias Elem = f32;
fn local() { const WG : u32 = 3u; }
`;

test('the example in its comment', () => {
  expect(specialise('const WG : u32 = 64u;', { WG: 128 }, 'x.wgsl')).toBe('const WG : u32 = 128u;');
});

test('every kind of declaration, and nothing inside of functions', () => {
  const text = specialise(SOURCE, { WG: 8, SHIFT: -2, SCALE: 0.5, GATED: true, Elem: 'f16' }, 'x.wgsl');
  expect(text).toContain('const WG : u32 = 8u;   // spec');
  expect(text).toContain('const SHIFT : i32 = -2i;');
  expect(text).toContain('const SCALE : f32 = f32(0.5);');
  expect(text).toContain('const GATED : bool = true;');
  expect(text).toContain('alias Elem = f16;');
  expect(text).toContain('fn local() { const WG : u32 = 3u; }');
});

test('declaredNames lists the module scope', () => {
  expect(declaredNames(SOURCE)).toEqual(['WG', 'SHIFT', 'SCALE', 'GATED', 'Elem']);
});

const REFUSED = [
  [
    'a name that is not declared',
    SOURCE,
    { REG_Q: 8 },
    /^x\.wgsl declares no spec const "REG_Q".*Declared are: WG, SHIFT/,
  ],
  ['a name that is declared twice', SOURCE + SOURCE, { WG: 8 }, /declares 2 spec const "WG"/],
  ['an alias that is not declared', SOURCE, { Half: 'f16' }, /declares no spec alias "Half"/],
  [
    'a number for a boolean',
    SOURCE,
    { GATED: 1 },
    /A number \(1\) cannot replace .*GATED : bool.* give a boolean/,
  ],
] as const;

test.each(REFUSED)('refuses %s', (_what, source, spec, message) => {
  expect(() => specialise(source, spec, 'x.wgsl')).toThrow(message);
  expect(() => specialise(source, spec, 'x.wgsl')).toThrow(ConfigError);
});

const main = (bindings: string): string => `${bindings}\n@compute @workgroup_size(1) fn main() {}`;

test('reflection reads bindings, access and the offsets of parameters', () => {
  const shader = reflectShader(
    main(`struct Params { a : u32, b : f32, c : i32 }
@group(0) @binding(0) var<storage, read> x : array<f32>;
@group(0) @binding(1) var<storage, read_write> y : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;`),
    'x.wgsl',
  );
  expect(shader.storage.map((s) => [s.name, s.readOnly])).toEqual([
    ['x', true],
    ['y', false],
  ]);
  expect(shader.params).toEqual([
    { name: 'a', type: 'u32', byteOffset: 0 },
    { name: 'b', type: 'f32', byteOffset: 4 },
    { name: 'c', type: 'i32', byteOffset: 8 },
  ]);
});

const INTERFACES = [
  [
    'two entry points',
    '@compute @workgroup_size(1) fn a() {}\n@compute @workgroup_size(1) fn b() {}',
    /has 2 compute entry points/,
  ],
  [
    'a hole in the bindings',
    main('@group(0) @binding(1) var<storage, read> x : array<f32>;'),
    /"x" is at group 0, binding 1; expected group 0, binding 0/,
  ],
  [
    'parameters elsewhere',
    main('struct P { a : u32 }\n@group(0) @binding(0) var<uniform> p : P;'),
    /parameters are one uniform struct at @group\(1\)/,
  ],
  [
    'parameters that are vectors',
    main('struct P { a : vec2<u32> }\n@group(1) @binding(0) var<uniform> p : P;'),
    /params\.a has type vec2/,
  ],
  ['text that is no WGSL', 'fn main( {', /x\.wgsl cannot be parsed/],
] as const;

test.each(INTERFACES)('reflection refuses %s', (_what, source, message) => {
  expect(() => reflectShader(source, 'x.wgsl')).toThrow(message);
});
