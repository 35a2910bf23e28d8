/**
 * The order that replies of an exchange must have, whatever came in.
 * @module
 */

/** One headers reply at most, then bodies, then one trailers reply at most, of each half; nothing behind a refusal. */
export function keepsOrder(shape: readonly string[]): boolean {
  const refusal = shape.indexOf("immediateResponse");
  if (refusal >= 0 && refusal !== shape.length - 1) return false;
  return (["request", "response"] as const).every((half) => {
    const letters = shape
      .filter((kind) => kind.startsWith(half))
      .map((kind) => kind[half.length] + (kind.endsWith(".") ? "." : ""))
      .join("");
    return /^H?B*(B\.|T)?$/.test(letters);
  });
}
