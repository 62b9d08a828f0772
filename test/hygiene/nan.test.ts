/** WGSL's min, max and clamp drop NaN: each on floats says why it may, or how NaN stays. */
import { expect, test } from 'vitest';
import { filesBelow, textOf } from './source-files.ts';

const WHOLE = /\b\d+[ui]\b|\b0x[0-9a-f]+u\b|\b[ui]32\b|\bkeyOf\b|\blastKey\b|vec[234]<[ui]32>/;

/** The arguments of a call whose bracket opens before `from`, without what is indexed or passed on. */
function argumentsOf(line: string, from: number): string {
  let depth = 1;
  let to = from;
  for (; to < line.length && depth > 0; to += 1) depth += { '(': 1, ')': -1 }[line[to] ?? ''] ?? 0;
  return line.slice(from, to - 1).replace(/\[[^\][]*\]/g, '');
}

/** Names that are whole numbers wherever the text declares them. */
function wholeNames(source: string): Set<string> {
  const names = new Set<string>();
  const floats = new Set<string>();
  for (const [, name = '', type = ''] of source.matchAll(/\b(\w+) : ([\w<>]+)/g)) {
    (/^(vec[234]<)?[ui]32/.test(type) ? names : floats).add(name);
  }
  for (let size = -1; size !== names.size;) {
    size = names.size;
    for (const [, name = '', value = ''] of source.matchAll(/\b(?:let|var) (\w+) = ([^;]+);/g)) {
      const plain = value.replace(/\[[^\][]*\]/g, '');
      if (/\bf32\b|\d\.\d/.test(plain)) floats.add(name);
      else if (WHOLE.test(plain) || wordsOf(plain).some((word) => names.has(word))) names.add(name);
    }
  }
  return new Set([...names].filter((name) => !floats.has(name)));
}

function wordsOf(text: string): string[] {
  return text.match(/\b[A-Za-z_]\w*\b/g) ?? [];
}

/** Whether the line, its comment or the comment above its function speaks of NaN. */
function saysWhy(lines: readonly string[], at: number): boolean {
  if (/NaN/.test(lines[at] ?? '')) return true;
  for (let i = at - 1; (lines[i] ?? '').trim().startsWith('//'); i -= 1) {
    if (/NaN/.test(lines[i] ?? '')) return true;
  }
  let start = at;
  while (start > 0 && !/^(@compute|fn )/.test(lines[start] ?? '')) start -= 1;
  for (let i = start - 1; (lines[i] ?? '').startsWith('//'); i -= 1)
    if (/NaN/.test(lines[i] ?? '')) return true;
  return false;
}

/** Uses on what is not known to be whole numbers and without a word about NaN, as `line: text`. */
function unexplained(source: string): string[] {
  const whole = wholeNames(source);
  const lines = source.split('\n');
  return lines.flatMap((line, at) => {
    const code = line.replace(/\/\/.*/, '');
    const calls = [...code.matchAll(/\b(?:min|max|clamp)\(/g)];
    const onFloats = calls.some((call) => {
      const given = argumentsOf(code, call.index + call[0].length);
      return !WHOLE.test(given) && !wordsOf(given).some((word) => whole.has(word));
    });
    return onFloats && !saysWhy(lines, at) ? [`${at + 1}: ${line.trim()}`] : [];
  });
}

test('a new use on floats is found, one on whole numbers or with a reason is not', () => {
  const body = (line: string): string => `fn f(v : f32, n : u32) -> f32 {\n  ${line}\n}`;
  expect(unexplained(body('return min(v, 2.0);'))).toEqual(['2: return min(v, 2.0);']);
  expect(unexplained(body('return clamp(v * scales[3u], -1.0, 1.0);'))).toHaveLength(1);
  expect(unexplained(body('let m = min(n, 3u); return max(v, v);'))).toHaveLength(1);
  expect(unexplained(body('return f32(max(n, 3u));'))).toEqual([]);
  expect(unexplained(body('return min(v, 2.0);   // NaN is refused before'))).toEqual([]);
});

test.each(filesBelow('shaders'))('%s says why NaN may be dropped, or that it stays', (path) => {
  expect(unexplained(textOf(path))).toEqual([]);
});
