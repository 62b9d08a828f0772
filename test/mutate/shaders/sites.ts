/** Every barrier and every test of a bound of a shader, and the shader without it. */

/** `clamp`: an index or a count that `min` holds within bounds. */
export type Kind = 'barrier' | 'bound' | 'clamp';

export interface Site {
  readonly kind: Kind;
  readonly line: number;
  /** What is taken out. */
  readonly what: string;
  /** The line that it is in. */
  readonly context: string;
  /** The shader without it. */
  readonly text: string;
}

interface Cut {
  readonly kind: Kind;
  readonly start: number;
  readonly end: number;
  readonly by: string;
}

/** In the order of the text. */
export function sitesOf(source: string): Site[] {
  // Comments as blanks: places stay.
  const code = source.replace(/\/\/.*$/gm, (comment) => ' '.repeat(comment.length));
  const cuts = [...barriers(code), ...conditions(code), ...vectors(code), ...clamps(code)];
  return cuts
    .sort((a, b) => a.start - b.start || a.end - b.end)
    .map(({ kind, start, end, by }) => {
      const line = source.slice(0, start).split('\n').length;
      const context = (source.split('\n')[line - 1] ?? '').trim();
      const text = source.slice(0, start) + by + source.slice(end);
      return { kind, line, what: source.slice(start, end), context, text };
    });
}

/** Two on one line are one, for both kinds of memory. A load that all lanes share is a load between two barriers. */
function barriers(code: string): Cut[] {
  const calls = [...code.matchAll(/\b(?:storageBarrier\(\); )?(?:workgroup|storage)Barrier\(\);/g)];
  const loads = [...code.matchAll(/\bworkgroupUniformLoad\(&(\w+)(\[[^\]]*\])?\)/g)];
  return [
    ...calls.map(({ index, 0: call }) => cut('barrier', index, index + call.length, '')),
    ...loads.map(({ index, 0: call, 1: name = '', 2: at = '' }) => {
      const isAtomic = new RegExp(`\\b${name} : (?:array<)?atomic<`).test(code);
      return cut(
        'barrier',
        index,
        index + call.length,
        isAtomic ? `atomicLoad(&${name}${at})` : `${name}${at}`,
      );
    }),
  ];
}

const cut = (kind: Kind, start: number, end: number, by: string): Cut => ({ kind, start, end, by });

/** Comparisons that an `if`, a `select`, a result or a named truth is made of: those that always hold in a case within bounds. */
function conditions(code: string): Cut[] {
  const cuts: Cut[] = [];
  for (const { index, 0: head } of code.matchAll(/\bif \(/g)) {
    const start = index + head.length;
    const end = closing(code, start);
    const leaves = /^\) \{\s*(?:return|continue|break)\b/.test(code.slice(end));
    cuts.push(...comparisons(code, start, end, leaves));
  }
  for (const { index, 0: head } of code.matchAll(/\bselect\(/g)) {
    const [, , third] = argumentsOf(code, index + head.length);
    if (third !== undefined) cuts.push(...comparisons(code, third.start, third.end, false));
  }
  const named = /(\blet \w+ = |\breturn )([^;{}]* (?:<|>=) [^;{}]*);/g;
  for (const { index, 0: all, 1: head = '' } of code.matchAll(named)) {
    cuts.push(...comparisons(code, index + head.length, index + all.length - 1, false));
  }
  return cuts;
}

/** All lanes that have somebody to add take part in a step of a tree: what they read, others write. */
const WHOLE_TREE = 'lane + step < WG';

/** @param leaves whether what is left out is done where the condition holds. */
function comparisons(code: string, start: number, end: number, leaves: boolean): Cut[] {
  const [whole] = /^vec\d<bool>\(/.exec(code.slice(start, end)) ?? [];
  if (whole !== undefined && closing(code, start + whole.length) === end - 1) {
    return comparisons(code, start + whole.length, end - 1, leaves);
  }
  const parts = topLevel(code, start, end, /&&|\|\|/y);
  const isOr = topLevel(code, start, end, /\|\|/y).length > 1;
  if (isOr && topLevel(code, start, end, /&&/y).length > 1) return [];
  const bounds = parts.filter((part) => isBound(code.slice(part.start, part.end)));
  return bounds.map(({ start: from, end: to }) => {
    const isBelow = topLevel(code, from, to, / < /y).length > 1;
    const always = String(isBelow && !leaves);
    return cut('bound', from, to, code.slice(from, to) === 'lane < step' ? WHOLE_TREE : always);
  });
}

/** `a < b` or `a >= b` of integers, not both known when it is compiled. */
function isBound(text: string): boolean {
  const [left, right, more] = topLevel(text, 0, text.length, / (?:<|>=) /y).map((r) =>
    text.slice(r.start, r.end),
  );
  if (left === undefined || right === undefined || more !== undefined) return false;
  const isKnown = (side: string): boolean => /^[\sA-Z0-9_u*+/()-]+$/.test(side);
  if (/\d\.\d|0x1p|vec\d<|LEAST|bits|\bkey\b/.test(text)) return false;
  return !(isKnown(left) && isKnown(right));
}

/** `key < vec4<u32>(numKeys)`: four at a time. */
function vectors(code: string): Cut[] {
  return [...code.matchAll(/\b(?!nibbles)\w+ (?:<|>=) vec4<u32>\((?:[^()]|\([^()]*\))*\)/g)].map(
    ({ index, 0: all }) => cut('bound', index, index + all.length, 'vec4<bool>(true)'),
  );
}

/** `min(a, b)` of integers becomes a. */
function clamps(code: string): Cut[] {
  const cuts: Cut[] = [];
  for (const { index, 0: head } of code.matchAll(/\bmin\(/g)) {
    const [first, second, third] = argumentsOf(code, index + head.length);
    if (first === undefined || second === undefined || third !== undefined) continue;
    const text = code.slice(first.start, second.end);
    if (/\d\.\d|f32|0x1p|softcap|highest|score|abs\(/.test(text)) continue;
    cuts.push(cut('clamp', index, second.end + 1, `(${code.slice(first.start, first.end)})`));
  }
  return cuts;
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Where the bracket that was opened before `start` is closed. */
function closing(code: string, start: number): number {
  let depth = 1;
  for (let i = start; i < code.length; i++) {
    if ('([{'.includes(code.charAt(i))) depth += 1;
    else if (')]}'.includes(code.charAt(i)) && --depth === 0) return i;
  }
  return code.length;
}

function argumentsOf(code: string, start: number): Range[] {
  return topLevel(code, start, closing(code, start), /,(?!\d)/y);
}

/** Parts between separators that no bracket holds. A comma in `vec2<f32, ...>` is none: WGSL's types here have none. */
function topLevel(code: string, start: number, end: number, separator: RegExp): Range[] {
  const parts: Range[] = [];
  let from = start;
  let depth = 0;
  for (let i = start; i < end; i++) {
    const c = code.charAt(i);
    if ('([{'.includes(c)) depth += 1;
    if (')]}'.includes(c)) depth -= 1;
    separator.lastIndex = i;
    const found = depth === 0 ? separator.exec(code) : null;
    if (found === null) continue;
    parts.push(trimmed(code, from, i));
    i += found[0].length - 1;
    from = i + 1;
  }
  parts.push(trimmed(code, from, end));
  return parts;
}

function trimmed(code: string, start: number, end: number): Range {
  let [a, b] = [start, end];
  while (a < b && /\s/.test(code.charAt(a))) a += 1;
  while (b > a && /\s/.test(code.charAt(b - 1))) b -= 1;
  return { start: a, end: b };
}
