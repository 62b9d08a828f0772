/** Whether two types are the same as JSON: the result's type and the schema of its file are written apart. */

/** Keys whose value JSON may leave out. */
type MayLack<T> = { [K in keyof T]-?: undefined extends T[K] ? K : never }[keyof T];

type Flat<T> = { [K in keyof T]: T[K] };

/** What is left of a type in JSON, where nothing is readonly and undefined is not written. */
export type Json<T> = T extends string | number | boolean | null
  ? T
  : T extends readonly (infer E)[]
    ? Json<E>[]
    : Flat<
        { -readonly [K in Exclude<keyof T, MayLack<T>>]: Json<T[K]> } & {
          -readonly [K in MayLack<T>]?: Json<Exclude<T[K], undefined>>;
        }
      >;

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Where two types of JSON differ, as paths; never: nowhere. `Read` may say null for a number: JSON has no Infinity. */
export type Differences<Written, Read, Path extends string = ''> =
  Same<Written, Read> extends true
    ? never
    : [Written, Read] extends [number, number | null]
      ? never
      : null extends Written & Read
        ? Differences<Exclude<Written, null>, Exclude<Read, null>, Path>
        : [Written, Read] extends [(infer W)[], (infer R)[]]
          ? Differences<W, R, `${Path}[]`>
          : [Written, Read] extends [object, object]
            ? InFields<Written, Read, Path>
            : Path;

type InFields<A, B, Path extends string> = {
  [K in (keyof A | keyof B) & string]: K extends keyof A & keyof B
    ? undefined extends A[K]
      ? undefined extends B[K]
        ? Differences<Exclude<A[K], undefined>, Exclude<B[K], undefined>, `${Path}.${K}`>
        : `${Path}.${K}: may be absent in what is written`
      : Differences<A[K], B[K], `${Path}.${K}`>
    : `${Path}.${K}: one of the two lacks it`;
}[(keyof A | keyof B) & string];

/** `Nowhere<Differences<A, B>>` compiles where there is none; else the compiler's message names the paths. */
export type Nowhere<T extends never> = T;
