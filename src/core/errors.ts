/**
 * Two kinds of failure. The caller's mistake is a `ConfigError`: its message gives the value, the rule and
 * the remedy, and the CLI prints it alone and exits with 2. A failed numeric check is a `CheckError` (exit 1).
 * Our own mistake is an `invariant`.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** A file that was named and is not there: where one may be absent, this is not an error. */
export class AbsentFileError extends ConfigError {}

/** A result that was computed but does not agree with its reference, or is not finite. */
export class CheckError extends Error {
  override readonly name = 'CheckError';
}

/** The device failed, was lost or was closed: the message says which and why. */
export class DeviceError extends Error {
  override readonly name = 'DeviceError';
}

/**
 * A call that was called off by the AbortSignal it was given: its `name` is 'AbortError', its `cause` the signal's reason.
 * What the call held is freed, and the device and the engine can be used as before.
 */
export class CancelledError extends Error {
  override readonly name = 'AbortError';
}

/** A fault of this project, never of the caller: please report it. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** @throws InvariantError when `condition` is false. The message is built only then. */
export function invariant(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new InvariantError(message());
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The system's code of anything that was thrown, as 'ENOENT'; '' where it has none. */
export function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' ? code : '';
}

/** Whether a file is not there, as our platforms say it or as Node does to whoever reads by himself. */
export function isAbsent(error: unknown): boolean {
  return error instanceof AbsentFileError || codeOf(error) === 'ENOENT';
}
