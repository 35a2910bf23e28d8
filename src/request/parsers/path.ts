/**
 * Request paths as parsers see them: suffixes of whole segments, from the right.
 * @module
 */

/** Path without query, surrounding white space and slashes at its end. Percent-encoding stays as it is. */
export function normalizePath(path: string): string {
  const query = path.indexOf("?");
  let normalized = (query < 0 ? path : path.slice(0, query)).trim();
  while (normalized.endsWith("/")) normalized = normalized.slice(0, -1);
  return normalized;
}

/** Claim as it is compared: without slashes at its ends. */
export function normalizeClaim(claim: string): string {
  return claim.replace(/^\/+|\/+$/g, "");
}

/**
 * Whether a normalized path ends with the segments of a claim; a claim's last segment `*` fits any.
 *
 * A claim that starts with a capital letter is a gRPC service, which may have a package before it:
 * `PredictionService/RawPredict` fits `/google.v1.PredictionService/RawPredict`.
 */
export function hasSuffix(path: string, claim: string): boolean {
  if (claim.endsWith("/*")) {
    const end = path.lastIndexOf("/");
    return end >= 0 && end < path.length - 1 && hasSuffix(path.slice(0, end), claim.slice(0, -2));
  }
  if (!path.endsWith(claim)) return false;
  const before = path.length - claim.length - 1;
  if (before < 0) return true;
  const separator = path[before];
  return separator === "/" || (separator === "." && /^[A-Z]/.test(claim));
}
