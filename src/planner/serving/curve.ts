/** Functions that are dear to ask, asked once at points a constant factor apart and drawn straight in between in logarithms. */

/** Points per factor of two. A guess: curves of kernels bend less than a percent between. */
const PER_OCTAVE = 2;

/** f over [1, infinity), f > 0. Between points the logarithm of f is linear in the logarithm of x. */
export function tabulated(f: (x: number) => number): (x: number) => number {
  const points: number[] = [];
  const at = (index: number): number => {
    // NaN is a place that was not asked yet: the list stays one of plain numbers.
    while (points.length <= index) points.push(NaN);
    let value = points[index] ?? NaN;
    if (Number.isNaN(value)) {
      value = Math.log(Math.max(1e-9, f(2 ** (index / PER_OCTAVE))));
      points[index] = value;
    }
    return value;
  };
  // Neighbouring steps ask for the same.
  let [asked, told] = [NaN, NaN];
  return (x) => {
    if (x === asked) return told;
    const place = Math.log2(Math.max(1, x)) * PER_OCTAVE;
    const low = Math.floor(place);
    const share = place - low;
    const first = at(low);
    asked = x;
    told = Math.exp(share === 0 ? first : first + share * (at(low + 1) - first));
    return told;
  };
}

/** The same in two arguments. */
export function tabulated2(f: (x: number, y: number) => number): (x: number, y: number) => number {
  const rows: ((y: number) => number)[] = [];
  const row = (index: number): ((y: number) => number) => {
    while (rows.length <= index) {
      const x = 2 ** (rows.length / PER_OCTAVE);
      rows.push(tabulated((y) => f(x, y)));
    }
    return rows[index] ?? ((y) => f(2 ** (index / PER_OCTAVE), y));
  };
  return (x, y) => {
    const place = Math.log2(Math.max(1, x)) * PER_OCTAVE;
    const low = Math.floor(place);
    const share = place - low;
    const first = row(low)(y);
    return share === 0 ? first : first ** (1 - share) * row(low + 1)(y) ** share;
  };
}
