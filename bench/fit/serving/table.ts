/** Judged rows as the module that `moebius accuracy` reads. */
import type { Judged } from './left-out.ts';
import type { Simulated } from './surrogate.ts';

const short = (value: number): string => String(Number(value.toPrecision(4)));

/** A text for each row: names, layout and load, then ms measured, fitted, and predicted without its model and without its hardware. */
export function tableLines(sims: readonly Simulated[], judged: readonly Judged[]): string[] {
  return [
    '/**',
    ' * Made by bench/fit/serving/main.ts from InferenceX (SemiAnalysisAI/InferenceX 843c625) and NVIDIA AIConfigurator',
    ' * (ai-dynamo/aiconfigurator 095f58a), both Apache-2.0: model system backend precision version isl osl concurrency gpus attn_tp',
    ' * attn_dp moe_tp ep mixture | measured TPOT TTFT, ms | with all rows | without its model | without its hardware | without',
    ' * its model on its hardware | so, and with no name of a framework | shares of TTFT that are queueing, with the name and without;',
    ' */',
    'export const LEFT_OUT_ROWS: string =',
    `  '${judged
      .map(({ row, tpotMs, ttftMs, queueing, unnamed }, i) => {
        const { cells, model, system, backend, mixture, setting } = row;
        const { attnTp, attnDp, moeTp, ep } = setting.placement;
        const names = [
          model.name,
          system,
          backend,
          setting.precision,
          (cells.version || cells.date || '-').replace(/[^\w.+-]/g, '_'),
          cells.isl,
          cells.osl,
          cells.concurrency,
        ];
        const layout = [cells.gpus, attnTp, attnDp, moeTp, ep, mixture ? 1 : 0];
        const pairs = [
          [row.tpotMs, row.ttftMs],
          [sims[i]?.tpotMs ?? NaN, sims[i]?.ttftMs ?? NaN],
          ...tpotMs.map((tpot, fold) => [tpot, ttftMs[fold] ?? NaN]),
          [unnamed.tpotMs, unnamed.ttftMs],
        ];
        const text = pairs.map(([tpot = NaN, ttft = NaN]) => `${short(tpot)} ${short(ttft)}`).join('|');
        return `${[...names, ...layout].join(' ')}|${text}|${short(queueing)} ${short(unnamed.queueing)}`;
      })
      .join(';')}';`,
  ];
}
