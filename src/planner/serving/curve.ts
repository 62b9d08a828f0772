/** Functions that are dear to ask, asked once at points a constant factor apart and drawn straight in between in logarithms. */

/** Points per factor of two. A guess: curves of kernels bend less than a percent between. */
const PER_OCTAVE = 2;

/** f over [1, infinity), f > 0. Between points the logarithm of f is linear in the logarithm of x. */
export function tabulated(f: (x: number) => number): (x: number) => number {
  const points = new Map<number, number>();
  const at = (index: number): number => {
    let value = points.get(index);
    if (value === undefined) {
      value = Math.log(Math.max(1e-9, f(2 ** (index / PER_OCTAVE))));
      points.set(index, value);
    }
    return value;
  };
  return (x) => {
    const place = Math.log2(Math.max(1, x)) * PER_OCTAVE;
    const low = Math.floor(place);
    const share = place - low;
    const first = at(low);
    return Math.exp(share === 0 ? first : first + share * (at(low + 1) - first));
  };
}

/** The same in two arguments. */
export function tabulated2(f: (x: number, y: number) => number): (x: number, y: number) => number {
  const rows = new Map<number, (y: number) => number>();
  const row = (index: number): ((y: number) => number) => {
    let found = rows.get(index);
    if (found === undefined) {
      const x = 2 ** (index / PER_OCTAVE);
      found = tabulated((y) => f(x, y));
      rows.set(index, found);
    }
    return found;
  };
  return (x, y) => {
    const place = Math.log2(Math.max(1, x)) * PER_OCTAVE;
    const low = Math.floor(place);
    const share = place - low;
    const first = row(low)(y);
    return share === 0 ? first : first ** (1 - share) * row(low + 1)(y) ** share;
  };
}
