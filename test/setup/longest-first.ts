/** The order of test files in a run: those that take long begin first, so that none of them is alone at the end. */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Those that wait for a browser or for processes, or have most to compile. */
const LONG = [
  'page/page',
  'page/routes',
  'kernels/experts/moe',
  'cli/process',
  'report/html',
  'runtime/layouts',
  'profile/account',
  'bench/run',
  'cli/own/verbs',
  'kernels/attention/attention',
];

function rankOf({ moduleId }: TestSpecification): number {
  const place = LONG.findIndex((name) => new RegExp(`/test/${name}\\.`).test(moduleId));
  return place === -1 ? LONG.length : place;
}

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.sort((a, b) => rankOf(a) - rankOf(b));
  }
}
