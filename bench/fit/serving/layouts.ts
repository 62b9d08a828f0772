/**
 * The layouts that InferenceX's servers were started in. Its table of results tells what a run was asked for, and the copies of it
 * that NVIDIA AIConfigurator hands on lose whether attention was data-parallel: for some runs the script that started the server
 * did otherwise. What they did is in SemiAnalysisAI/InferenceX, at the commits named here; runs that no script contradicts stay
 * as they are given.
 */
import type { FrameworkName } from '../../../src/planner/serving/framework.ts';
import type { Placement } from '../../../src/planner/serving/placement.ts';

/** What the table says of one run. */
export interface Run {
  readonly model: string;
  readonly hardware: string;
  readonly backend: FrameworkName;
  readonly precision: string;
  /** Of the run, as YYYY-MM-DD; empty where the table has none. */
  readonly date: string;
  readonly isl: number;
  readonly osl: number;
  readonly concurrency: number;
  readonly gpus: number;
  readonly layout: Layout;
}

/** Ranks of attention and of the experts, by tensors and by data or by experts. */
export type Layout = Pick<Placement, 'attnTp' | 'attnDp' | 'moeTp' | 'ep'>;

type Kind = 'tp' | 'tp-ep' | 'dp-ep';

/** All GPUs of an instance as one group of the kind. */
function layoutOf(kind: Kind, gpus: number): Layout {
  const whole = { attnTp: kind === 'dp-ep' ? 1 : gpus, attnDp: kind === 'dp-ep' ? gpus : 1 };
  return kind === 'tp' ? { ...whole, moeTp: gpus, ep: 1 } : { ...whole, moeTp: 1, ep: gpus };
}

/** A script, by its runs, and what it started where that is not what the table says. */
interface Script {
  readonly model: string;
  readonly hardware: readonly string[];
  readonly backend: FrameworkName;
  readonly precision: string;
  /** First and last day of the runs; without them all days, and those of no day. */
  readonly days?: readonly [from: string, to: string];
  readonly started: (run: Run) => Kind;
}

const SCRIPTS: readonly Script[] = [
  {
    // 02770ff4a benchmarks/single_node/kimik2.5_fp4_b200.sh: asked for `ep: 4`, it never passes --enable-expert-parallel. That of
    // B300 (a35e53694) is the same recipe, as its head says.
    ...{ model: 'kimi-k2.5', hardware: ['b200_sxm', 'b300_sxm'], backend: 'vllm', precision: 'fp4' },
    started: () => 'tp',
  },
  {
    // 02770ff4a minimaxm2.5_fp8_h100.sh: --enable-expert-parallel, and no data parallel size; asked for without dp-attn.
    ...{ model: 'minimax-m2.5', hardware: ['h100_sxm'], backend: 'vllm', precision: 'fp8' },
    started: () => 'tp-ep',
  },
  {
    // 0c2467c15 minimaxm2.5_fp8_b300.sh passes --enable-expert-parallel where it is asked for `ep`, and no data parallel size.
    ...{ model: 'minimax-m2.5', hardware: ['b300_sxm'], backend: 'vllm', precision: 'fp8' },
    started: ({ layout }) => (layout.ep === 1 ? 'tp' : 'tp-ep'),
  },
  {
    // 633fd2377 minimaxm2.5_fp4_b300.sh heeds dp-attn, which .github/configs/nvidia-master.yaml asks for on two GPUs alone: from
    // 256 at once with short prompts and for 512 with long ones. Before that day (22d0f12f7) only for 512 with short prompts.
    ...{ model: 'minimax-m2.5', hardware: ['b300_sxm'], backend: 'vllm', precision: 'fp4' },
    started: ({ layout, gpus, isl, concurrency, date }) => {
      if (layout.ep === 1) return 'tp';
      const later = date >= '2026-04-21';
      const from = isl === 1024 && !later ? 512 : isl === 1024 ? 256 : later ? 512 : Infinity;
      return gpus === 2 && concurrency >= from ? 'dp-ep' : 'tp-ep';
    },
  },
  {
    // e06929c70 and 79abd6cb4 benchmarks/dsr1_fp4_b200_docker.sh: --enable-ep-moe for every run, until d8fe8f73e of 10 November
    // asked for the same as `ep`; pull request 242 confirms that EP was on for FP4.
    ...{ model: 'deepseek-r1', hardware: ['b200_sxm'], backend: 'sglang', precision: 'fp4' },
    days: ['2025-08-01', '2025-11-10'],
    started: () => 'tp-ep',
  },
  {
    // e06929c70 benchmarks/dsr1_fp4_b200_trt_slurm.sh chooses by load itself.
    ...{ model: 'deepseek-r1', hardware: ['b200_sxm'], backend: 'trtllm', precision: 'fp4' },
    days: ['2025-08-01', '2025-11-02'],
    started: ({ isl, osl, concurrency, gpus }) => {
      const long = isl > osl;
      if (concurrency >= 256 || (long && concurrency > 32)) return 'dp-ep';
      const few = gpus === 4 || long ? 32 : osl > isl ? 16 : 8;
      return concurrency > few ? 'tp-ep' : 'tp';
    },
  },
  {
    // e06929c70 benchmarks/dsr1_fp8_b200_trt_slurm.sh: --ep_size=$TP, attention by data beyond 32 at once, or 64.
    ...{ model: 'deepseek-r1', hardware: ['b200_sxm'], backend: 'trtllm', precision: 'fp8' },
    days: ['2025-08-01', '2025-11-02'],
    started: ({ isl, osl, concurrency }) => (concurrency > (isl === osl ? 32 : 64) ? 'dp-ep' : 'tp-ep'),
  },
  {
    // e06929c70 benchmarks/gptoss_fp4_h200_trt_slurm.sh: --ep_size=$TP for every run.
    ...{ model: 'gpt-oss-120b', hardware: ['h200_sxm'], backend: 'trtllm', precision: 'fp4' },
    days: ['2025-08-01', '2025-11-02'],
    started: () => 'tp-ep',
  },
];

/** The layout that a run's server was started in. */
export function startedAs(run: Run): Layout {
  const script = SCRIPTS.find(
    ({ model, hardware, backend, precision, days }) =>
      model === run.model &&
      hardware.includes(run.hardware) &&
      backend === run.backend &&
      precision === run.precision &&
      (days === undefined || (days[0] <= run.date && run.date <= days[1])),
  );
  return script === undefined ? run.layout : layoutOf(script.started(run), run.gpus);
}
