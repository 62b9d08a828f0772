/** A page of one's own: an op, then the checks of a family of kernels, until they end or Escape is pressed. */
import { f32Tensor, openGpu, runOp, validate, webPlatform } from 'moebius/web';

const gpu = await openGpu(webPlatform());
const say = (text: string): void =>
  document.body.append(Object.assign(document.createElement('p'), { textContent: text }));

const a = f32Tensor([2, 3], [1, 2, 3, 4, 5, 6]);
const outputs = await runOp(gpu, 'matmul', { a, b: a });
say(`${gpu.facts.name} (${gpu.facts.kind}): a times itself is ${outputs.get('c')?.data.join(' ')}`);

const cancel = new AbortController();
addEventListener('keydown', ({ key }) => key === 'Escape' && cancel.abort());
try {
  const { pass, families } = await validate(gpu, { quick: true, family: 'rms-norm', signal: cancel.signal });
  for (const { family, runs, worstShare } of families)
    say(
      `${family}: ${runs} runs ${pass ? 'pass' : 'FAIL'}, worst ${worstShare.toFixed(2)} of what is allowed`,
    );
} catch (error) {
  say(String(error)); // 'AbortError: The work was cancelled.'
} finally {
  gpu.destroy();
}
