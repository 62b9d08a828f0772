/**
 * Vitest that stays in one copy of the project, where a process for every fault would read its configuration and transform
 * all sources anew. Every test file still has a process of its own. Asked and answered by messages.
 */
import { join, relative } from 'node:path';
import { createVitest, type Reporter, type TestCase, type TestModule } from 'vitest/node';
import { rebuild } from '../../setup/command.ts';
import type { Watch } from '../mutant.ts';
import type { Answer, Ask } from './messages.ts';

const ROOT = process.cwd();

/** As `-t` takes it. */
function nameOf(test: TestCase): string {
  const names = [test.name];
  for (let { parent } = test; parent.type === 'suite'; parent = parent.parent) names.unshift(parent.name);
  return names.join(' ');
}

/** The first failure of a run. */
class Ear implements Reporter {
  failed: Answer | undefined;
  passed = 0;

  onTestCaseResult(test: TestCase): void {
    const { state, errors } = test.result();
    if (state === 'passed') this.passed++;
    if (state === 'failed') this.#note(test.module, errors, nameOf(test));
  }

  onTestModuleEnd(module: TestModule): void {
    if (module.state() !== 'failed') return;
    const suites = [...module.children.allSuites()].flatMap((suite) => suite.errors());
    this.#note(module, [...module.errors(), ...suites]);
  }

  #note(
    { moduleId }: TestModule,
    errors: readonly { readonly message: string; readonly stack?: string }[] = [],
    failed = moduleId,
  ): void {
    const message = errors.map((error) => error.stack ?? error.message).join('\n');
    this.failed ??= { state: 'failed', file: relative(join(ROOT, 'test'), moduleId), failed, message };
  }
}

const ear = new Ear();
const usual = { ...process.env };
const vitest = await createVitest('test', {
  ...{ root: ROOT, project: ['node'], watch: false, bail: 1 },
  reporters: [ear],
});
let last: string | undefined;

/** As if nothing of the file was read before. */
async function refresh(path: string): Promise<void> {
  vitest.invalidateFile(join(ROOT, path));
  // Built from what lies there when the first test runs.
  const { command } = vitest.getRootProject().getProvidedContext();
  if (command !== undefined) await rebuild(command, path);
}

function setEnvironment({ env = {} }: Watch): void {
  for (const name of Object.keys(process.env)) if (!(name in usual)) delete process.env[name];
  Object.assign(process.env, usual, env);
}

async function answerTo({ watch, changed }: Ask): Promise<Answer> {
  try {
    for (const path of new Set([last ?? changed, changed])) await refresh(path);
  } catch (error) {
    // What is no module cannot be built; a vitest that starts ends with that.
    return { state: 'failed', failed: 'the run itself', message: String(error) };
  } finally {
    last = changed;
  }
  setEnvironment(watch);
  [ear.failed, ear.passed] = [undefined, 0];
  const { tests, only } = watch;
  if (only === undefined) vitest.resetGlobalTestNamePattern();
  else vitest.setGlobalTestNamePattern(only);
  await vitest.runTestSpecifications(
    await vitest.globTestSpecifications(tests.map((path) => `test/${path}`)),
  );
  return ear.failed ?? { state: ear.passed === 0 ? 'no tests' : 'passed' };
}

process.on('message', (ask: Ask) => {
  void answerTo(ask).then(
    (answer) => process.send?.(answer),
    // Whoever asks runs the tests in a process of their own then, and is told why.
    () => process.exit(1),
  );
});
process.on('disconnect', () => process.exit(0));
