/**
 * Durations, quantities and booleans as Go and Kubernetes write them.
 * @module
 */

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of a Go duration (`1m30s`, `300ms`, `-1.5h`, `0`), or null when it is none. */
export function parseDurationMs(text: string): number | null {
  const match = /^([+-]?)(.+)$/.exec(text);
  if (match === null) return null;
  const rest = match[2]!;
  if (rest === "0") return 0;
  let total = 0;
  let at = 0;
  const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;
  while (at < rest.length) {
    part.lastIndex = at;
    const found = part.exec(rest);
    if (found === null) return null;
    total += Number(found[1]) * UNIT_MS[found[2]!]!;
    at = part.lastIndex;
  }
  return match[1] === "-" ? -total : total;
}

const SUFFIX: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/**
 * Number of a Kubernetes quantity (`64Ki`, `10MiB`, `25MB`, `1k`, `1e3`), a trailing B or b dropped; null when it is none,
 * negative or above 2^53.
 */
export function parseQuantity(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(Ki|Mi|Gi|Ti|Pi|k|K|M|G|T|P)?[Bb]?$/.exec(
    text.trim(),
  );
  if (match === null) return null;
  const value = Number(match[1]) * SUFFIX[match[2] ?? ""]!;
  return value <= Number.MAX_SAFE_INTEGER ? Math.ceil(value) : null;
}

/** Go's strconv.ParseBool, or null. */
export function parseBoolean(text: string): boolean | null {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  return ["0", "f", "F", "false", "FALSE", "False"].includes(text) ? false : null;
}
