/** @jsxRuntime automatic @jsxImportSource preact */
/** How time grows with size, and whether it does so as it should. */
import { HUES } from '../../plots/hues.ts';
import { drawGrowth } from '../../plots/growth.ts';
import type { StoredBenchResult } from '../file/schema.ts';
import { Drawing, Section, Table } from './parts.tsx';

const VERDICTS = {
  'as expected': <span class="good">✓ as expected</span>,
  unexpected: <b class="bad">✗ unexpected</b>,
  unfit: <b class="open">… unfit</b>,
  failed: <b class="bad">✗ failed</b>,
} as const;

export function Growth({
  result,
  document,
}: {
  readonly result: StoredBenchResult;
  readonly document: Document;
}) {
  const { growth = [] } = result;
  const lines = growth.map(({ points, fit }) => ({
    exponent: fit?.exponent,
    points: points.flatMap(({ size, leastNs, fitted }) =>
      leastNs === undefined || leastNs <= 0 ? [] : [{ size, ns: leastNs, fitted }],
    ),
  }));
  return (
    <Section id="growth" title="Growth of time" source="measured">
      {growth.length === 0 ? (
        <p>
          Not measured: a full bench of all kernels does, with the time that is left; moebius growth measures
          more sizes.
        </p>
      ) : (
        <>
          {lines.some(({ points }) => points.length > 0) && (
            <Drawing
              document={document}
              label={`Time over size of ${growth.length} series; the table below has their exponents.`}
              caption="The least sample of every size; filled points carry the fit, which is the line."
              draw={(frame) => drawGrowth(frame, lines)}
            />
          )}
          <Table
            label="Exponents of time"
            columns={[
              { head: 'series' },
              { head: 'with' },
              { head: 'exponent', number: true },
              { head: 'expected', number: true },
              { head: 'r²', number: true, spare: true },
              { head: 'verdict' },
            ]}
            rows={growth.map(({ name, variable, fit, expected, tolerance, verdict }, i) => ({
              cells: [
                <span class="key">
                  <span>
                    <b class={`hue-${(i % HUES) + 1}`}>{i + 1}</b> {name}
                  </span>
                </span>,
                variable,
                fit === undefined ? '' : fit.exponent.toFixed(2),
                `${expected} ± ${tolerance}`,
                fit?.rSquared == null ? '' : fit.rSquared.toFixed(3),
                VERDICTS[verdict],
              ],
            }))}
          />
          <p class="soft">{growth.map(({ reason }) => reason).join('. ')}.</p>
        </>
      )}
    </Section>
  );
}
