/**
 * Tags of the own prompt format (see prompt-format.ts) and how a field is written behind one.
 * @module
 */
import type { MediaKind, PromptStream } from "./prompt-stream.ts";
import { Byte, type WorkArea } from "./work-area.ts";

/** Lowest tag; bytes from here on never occur in UTF-8. */
export const TAG_MIN = 0xf8;

const letter = (char: string): number => char.charCodeAt(0);

export const Tag = {
  Preamble: 0xfc,
  Media: 0xfd,
  Field: 0xfe,
  Message: 0xff,
} as const;

/** What stands behind `Tag.Field`. */
export const Field = {
  Name: letter("n"),
  CallId: letter("i"),
  Reasoning: letter("r"),
  Content: letter("c"),
  ToolCalls: letter("t"),
  Other: letter("o"),
} as const;

/** What stands behind `Tag.Preamble`. */
export const Preamble = {
  Tools: letter("T"),
  Documents: letter("D"),
  ChatTemplate: letter("J"),
  TemplateArguments: letter("K"),
  Instructions: letter("I"),
  System: letter("S"),
} as const;

/** What stands behind `Tag.Media`. */
export const mediaLetters: Readonly<Record<MediaKind, number>> = {
  image: letter("i"),
  "image-data": letter("i"),
  video: letter("v"),
  audio: letter("a"),
};

/** Strings without their quotes and escapes, everything else as it came. */
export function writeValue(stream: PromptStream, area: WorkArea, start: number, end: number): void {
  if (area.bytes[start] === Byte.Quote) stream.text(start, end);
  else stream.raw(start, end);
}

export function writeField(
  stream: PromptStream,
  area: WorkArea,
  field: number,
  start: number,
  end: number,
): void {
  stream.byte(Tag.Field);
  stream.byte(field);
  writeValue(stream, area, start, end);
}
