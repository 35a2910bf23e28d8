/**
 * Durations, quantities and booleans as Go and Kubernetes write them.
 * @module
 */

const UNIT_NS: ReadonlyMap<string, number> = new Map([
  ["ns", 1],
  ["us", 1e3],
  ["µs", 1e3],
  ["μs", 1e3],
  ["ms", 1e6],
  ["s", 1e9],
  ["m", 60e9],
  ["h", 3600e9],
]);

const NS_PER_MS = 1e6;
/** Go keeps durations in 64-bit nanoseconds and refuses longer ones, some 292 years. */
const DURATION_NS_MAX = 2 ** 63;

/** Milliseconds of a Go duration (`1m30s`, `300ms`, `-1.5h`, `0`), or null when it is none. */
export function parseDurationMs(text: string): number | null {
  const match = /^([+-]?)(.+)$/.exec(text);
  if (match === null) return null;
  const rest = match[2]!;
  if (rest === "0") return 0;
  let ns = 0;
  let at = 0;
  const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;
  while (at < rest.length) {
    part.lastIndex = at;
    const found = part.exec(rest);
    if (found === null) return null;
    // Rounded as Go does, so that 1.1s is 1100 ms and not a bit more.
    ns += Math.round(Number(found[1]) * UNIT_NS.get(found[2]!)!);
    at = part.lastIndex;
  }
  if (ns >= DURATION_NS_MAX) return null;
  return (match[1] === "-" ? -ns : ns) / NS_PER_MS;
}

/** Suffix → base and exponent. */
const SUFFIXES: ReadonlyMap<string, readonly [base: bigint, exponent: number]> = new Map([
  ["n", [10n, -9]],
  ["u", [10n, -6]],
  ["m", [10n, -3]],
  ["", [10n, 0]],
  ["k", [10n, 3]],
  ["K", [10n, 3]],
  ["M", [10n, 6]],
  ["G", [10n, 9]],
  ["T", [10n, 12]],
  ["P", [10n, 15]],
  ["E", [10n, 18]],
  ["Ki", [2n, 10]],
  ["Mi", [2n, 20]],
  ["Gi", [2n, 30]],
  ["Ti", [2n, 40]],
  ["Pi", [2n, 50]],
  ["Ei", [2n, 60]],
]);

const QUANTITY =
  /^\+?(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d{1,3})|(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|K|M|G|T|P|E))?[Bb]?$/;
/** Longer texts are no quantities that anybody means; the arithmetic below is quadratic in the length. */
const QUANTITY_LENGTH_MAX = 64;

/**
 * Number of a Kubernetes quantity (`64Ki`, `10MiB`, `25MB`, `1k`, `1e3`), a trailing B or b dropped, parts of one rounded
 * up; null when it is none, negative or above 2^53. Exact: floating point makes 4097 of some spellings of 4096.
 */
export function parseQuantity(text: string): number | null {
  const match = text.length <= QUANTITY_LENGTH_MAX ? QUANTITY.exec(text) : null;
  if (match === null) return null;
  const [, whole = "", fraction = match[3] ?? "", , exponent, suffix = ""] = match;
  const [base, power] = exponent === undefined ? SUFFIXES.get(suffix)! : [10n, Number(exponent)];
  let numerator = BigInt(whole + fraction);
  let denominator = 10n ** BigInt(fraction.length);
  if (power >= 0) numerator *= base ** BigInt(power);
  else denominator *= base ** BigInt(-power);
  const value = (numerator + denominator - 1n) / denominator;
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : null;
}

const TRUE: ReadonlySet<string> = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const FALSE: ReadonlySet<string> = new Set(["0", "f", "F", "false", "FALSE", "False"]);

/** Go's strconv.ParseBool, or null. */
export function parseBoolean(text: string): boolean | null {
  if (TRUE.has(text)) return true;
  return FALSE.has(text) ? false : null;
}
