/**
 * Steps through the elements of a scanned body: what is at an address is known to be valid JSON.
 * @module
 */
import { Byte, type WorkArea } from "./work-area.ts";

/** First byte of a value, 0 when it is missing (start -1). */
export function leadAt(area: WorkArea, start: number): number {
  return start < 0 ? 0 : area.bytes[start]!;
}

/** There, and not null. */
export function isPresent(area: WorkArea, start: number): boolean {
  return start >= 0 && area.bytes[start] !== Byte.LetterN;
}

/** First element of the array at p, -1 when it is empty. */
export function firstElement(area: WorkArea, p: number): number {
  const first = area.skipSpace(p + 1);
  return area.bytes[first] === Byte.CloseBracket ? -1 : first;
}

/** The element after the one that ends at p, -1 when it was the last. */
export function nextElement(area: WorkArea, p: number): number {
  const at = area.skipSpace(p);
  return area.bytes[at] === Byte.Comma ? area.skipSpace(at + 1) : -1;
}
