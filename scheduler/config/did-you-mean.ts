/**
 * The nearest known name for a mistyped one.
 * @module
 */

/** Longer names get no suggestion: nobody mistypes one, and the distance costs length times length. */
const NAME_LENGTH_MAX = 64;
/** Edits that are always tolerated; longer names may differ in a third of their letters. */
const EDITS_MIN = 2;

/** `; did you mean "x"?` when a known name is close, else "". Case counts nothing. */
export function didYouMean(name: string, known: readonly string[]): string {
  if (name.length > NAME_LENGTH_MAX) return "";
  let best = "";
  let bestDistance = Math.max(EDITS_MIN, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best === "" ? "" : `; did you mean "${best}"?`;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
