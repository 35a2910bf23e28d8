/**
 * Lists of token ids: whether all elements are some.
 * @module
 */
import { firstElement, nextElement } from "../json-walk.ts";
import type { BodyScan } from "../scan-json.ts";
import { Byte } from "../work-area.ts";
import type { ParseError } from "./parser.ts";

const ID_MAX = 2 ** 32 - 1;

/**
 * Looks at the list of ids at `start`, an array.
 *
 * @param name of the list, for the text
 * @returns    null, or which element is no id
 */
export function tokenIdProblem(scan: BodyScan, start: number, name: string): ParseError | null {
  const { area } = scan;
  if (area.countIds(start) >= 0) return null;
  let index = 0;
  for (let at = firstElement(area, start); at >= 0; index++) {
    const end = area.skipValue(at);
    const lead = area.bytes[at]!;
    const isNumber = lead === Byte.Minus || (lead >= Byte.Zero && lead <= Byte.Nine);
    const value = isNumber ? Number(area.bytes.toString("latin1", at, end)) : Number.NaN;
    if (!Number.isInteger(value) || value < 0 || value > ID_MAX) {
      return { message: `${name}[${index}]: must be an integer from 0 to ${ID_MAX}` };
    }
    at = nextElement(area, end);
  }
  return null;
}
