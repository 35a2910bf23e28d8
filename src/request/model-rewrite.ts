/**
 * Gives a request body another model by replacing the bytes of the top-level `model` value; every other byte, and every
 * chunk that does not touch it, goes on as it came.
 * Source of the need: llm-d-router re-serializes the whole object, which changes numbers, order and escapes.
 * @module
 */

/** How a model is written: a JSON value, the bare text (a form field), or in a way that is left alone. */
export type ModelForm = "json" | "text" | "none";

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const SPACES: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * @param chunks     a JSON object, or a form, cut anywhere; no chunk is changed
 * @param modelStart first byte of the value, over all chunks; -1 = no such member: it becomes the first one of the object
 * @param modelEnd   behind the value's last byte
 * @returns          chunks of the new body, none empty
 */
export function rewriteModel(
  chunks: readonly Uint8Array[],
  modelStart: number,
  modelEnd: number,
  newModel: string,
  form: Exclude<ModelForm, "none"> = "json",
): Uint8Array[] {
  if (form === "text") {
    // a line break would end the field
    return splice(chunks, modelStart, modelEnd, Buffer.from(newModel.replace(/[\r\n]/g, "")));
  }
  const value = JSON.stringify(newModel);
  if (modelStart >= 0) return splice(chunks, modelStart, modelEnd, Buffer.from(value));
  const open = nextByte(chunks, 0);
  if (open.byte !== OPEN_BRACE) throw new RangeError("body is not a JSON object");
  const isEmpty = nextByte(chunks, open.at + 1).byte === CLOSE_BRACE;
  const member = Buffer.from(`"model":${value}${isEmpty ? "" : ","}`);
  return splice(chunks, open.at + 1, open.at + 1, member);
}

function splice(
  chunks: readonly Uint8Array[],
  start: number,
  end: number,
  replacement: Uint8Array,
): Uint8Array[] {
  const out: Uint8Array[] = [];
  let isPlaced = false;
  let offset = 0;
  for (const chunk of chunks) {
    const from = start - offset;
    const to = end - offset;
    offset += chunk.length;
    if (from >= chunk.length || (isPlaced && to <= 0)) {
      if (chunk.length > 0) out.push(chunk);
      continue;
    }
    if (from > 0) out.push(chunk.subarray(0, from));
    if (!isPlaced) out.push(replacement);
    isPlaced = true;
    if (to < chunk.length) out.push(chunk.subarray(to));
  }
  return out;
}

/** First byte from `start` on that is no white space; byte -1 at the end. */
function nextByte(chunks: readonly Uint8Array[], start: number): { at: number; byte: number } {
  let offset = 0;
  for (const chunk of chunks) {
    for (let i = Math.max(start - offset, 0); i < chunk.length; i++) {
      const byte = chunk[i]!;
      if (!SPACES.has(byte)) return { at: offset + i, byte };
    }
    offset += chunk.length;
  }
  return { at: offset, byte: -1 };
}
