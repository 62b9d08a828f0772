/**
 * Functions that several shaders need: `shaders/lib` holds the text, and each shader a copy, since it is valid WGSL on
 * its own. `npm run shaders:lib` writes the text of the library into the shaders.
 */

/** A function or a structure of a shader, with the comment that stands directly above it. */
export interface Declaration {
  readonly name: string;
  readonly text: string;
  /** Lines of the file, counted from 0, the last one excluded. */
  readonly first: number;
  readonly end: number;
}

const HEAD = /^(?:fn|struct) (\w+)/;

/** The functions and structures of a text but its entry point and the parameters, which each shader has of its own. */
export function declarationsOf(source: string): Declaration[] {
  const lines = source.split('\n');
  return lines.flatMap((line, at) => {
    const name = HEAD.exec(line)?.[1];
    if (name === undefined || name === 'main' || name === 'Params') return [];
    let first = at;
    while ((lines[first - 1] ?? '').startsWith('//')) first -= 1;
    let last = at;
    if (!/\}\s*(?:\/\/.*)?$/.test(line)) while (last + 1 < lines.length && lines[last] !== '}') last += 1;
    return [{ name, text: lines.slice(first, last + 1).join('\n'), first, end: last + 1 }];
  });
}

/** The texts of the library by name. @throws Error when two have one name. */
export function libraryOf(sources: readonly string[]): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  for (const { name, text } of sources.flatMap(declarationsOf)) {
    if (texts.has(name)) throw new Error(`shaders/lib has ${name} twice`);
    texts.set(name, text);
  }
  return texts;
}

/** A shader with the library's text in place of its own, wherever it has a name of the library. */
export function withLibrary(source: string, library: ReadonlyMap<string, string>): string {
  const lines = source.split('\n');
  for (const { name, first, end } of declarationsOf(source).reverse()) {
    const text = library.get(name);
    if (text !== undefined) lines.splice(first, end - first, ...text.split('\n'));
  }
  return lines.join('\n');
}

/** What is wrong between the library and the shaders, a line each; `shaders` are texts by path. */
export function faultsOf(
  shaders: ReadonlyMap<string, string>,
  library: ReadonlyMap<string, string>,
): string[] {
  const users = new Map<string, string[]>();
  const faults: string[] = [];
  for (const [path, source] of shaders) {
    for (const { name, text } of declarationsOf(source)) {
      users.set(name, [...(users.get(name) ?? []), path]);
      const canonical = library.get(name);
      if (canonical !== undefined && canonical !== text) {
        faults.push(
          `${path}: ${name} differs from shaders/lib; change it there and run "npm run shaders:lib"`,
        );
      }
    }
  }
  for (const [name, paths] of users) {
    if (paths.length > 1 && !library.has(name)) {
      faults.push(
        `${name} stands in ${paths.join(', ')}, but not in shaders/lib; put it there, or rename one`,
      );
    }
  }
  for (const name of library.keys()) {
    const count = users.get(name)?.length ?? 0;
    if (count < 2)
      faults.push(`${name} of shaders/lib stands in ${count} shaders; it is for what several need`);
  }
  return faults;
}
