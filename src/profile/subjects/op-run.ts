/** An op on tensors that are on the device already: recorded, sent, and its outputs read. */
import type { Gpu } from '../../gpu/gpu.ts';
import type { Cost, PreparedOp } from '../../ops/op.ts';
import { HostTimes } from '../../runtime/step/host-times.ts';
import type { StepSpan, StepSpanTime } from '../../runtime/step/span.ts';
import { laterTimes } from '../../runtime/step/timed-lists.ts';
import type { Subject } from './subject.ts';

/** @param name of the op, which its passes count for; with a pass per dispatch they count for their kernels. */
export function opSubject(gpu: Gpu, name: string, prepared: PreparedOp, cost: Cost): Subject {
  const tag: StepSpan = {
    ...{ stage: 0, layer: undefined, microBatch: 0, operation: name },
    ...{ ranks: { first: 0, count: 1 }, rows: 0, rowsOf: undefined, flop: cost.flops, bytes: cost.bytes },
  };
  return {
    run: async (timing) => {
      const [beganNs, syncsBefore] = [gpu.now(), gpu.hostSyncs];
      const host = new HostTimes('record', beganNs);
      const commands = gpu.commands(`op ${name}`, timing);
      commands.span(tag);
      try {
        prepared.record(commands);
      } catch (error) {
        commands.discard();
        throw error;
      }
      const list = commands.submit();
      host.begin('submit', list.submittedNs);
      host.begin('read-back', gpu.now());
      try {
        await prepared.read();
      } catch (error) {
        list.discard();
        throw error;
      }
      const endNs = gpu.now();
      const hostSyncs = gpu.hostSyncs - syncsBefore;
      const { spans, submits } = await laterTimes<StepSpanTime>([list], endNs).read();
      const times = { spans: byKernel(tag, spans), submits, host: host.end(endNs), hostNs: endNs - beganNs };
      return { wallNs: endNs - beganNs, pieces: [{ ...times, staged: false, hostSyncs }] };
    },
  };
}

/** The cost is known of the whole op: of one kernel among several it is not. */
function byKernel(tag: StepSpan, spans: readonly StepSpanTime[]): StepSpanTime[] {
  const kernels = new Set(spans.flatMap(({ kernel }) => kernel ?? []));
  const none = kernels.size > 1 ? { flop: 0, bytes: 0 } : {};
  const tags = new Map([...kernels].map((operation) => [operation, { ...tag, operation, ...none }]));
  return spans.map((span) => ({ ...span, tag: tags.get(span.kernel ?? '') ?? span.tag }));
}
